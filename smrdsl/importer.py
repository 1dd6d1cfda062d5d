"""importer: after `import smrdsl.importer`, `import specs.quickstart` finds specs/quickstart.smr.

The module has `load(**options)`, which compiles the default model or `model=NAME`, and `models`, their names.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from smrdsl.compiler import compile
from smrdsl.core.errors import SpecError
from smrdsl.spec.files import read_source
from smrdsl.spec.resolve import Resolver


class SmrFinder(MetaPathFinder):
    """Finds `.smr` files on the path, after Python's own modules."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        name = fullname.rpartition(".")[2]
        for folder in sys.path if path is None else path:
            file = Path(folder).absolute() / f"{name}.smr"
            if file.is_file():
                return ModuleSpec(fullname, SmrLoader(file), origin=str(file))
        return None


class SmrLoader(Loader):
    """Makes a module of a `.smr` file; all its mistakes are one ImportError, raised from a `SpecError`."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def exec_module(self, module: ModuleType) -> None:
        try:
            resolver = Resolver(read_source(self.file), self.file)
            resolver.check()
            resolver.report.raise_errors()
        except SpecError as error:
            message = f"cannot import {self.file}:\n{error}"
            raise ImportError(message, name=module.__name__, path=str(self.file)) from error

        def load(model: str | None = None, **options: Any) -> Any:
            """The compiled model of this file; options as `smrdsl.compile` takes them."""
            return compile(self.file, model, **options)

        module.__file__ = str(self.file)
        module.__doc__ = f"The models of {self.file}."
        module.models = tuple(resolver.models())  # type: ignore[attr-defined]
        module.load = load  # type: ignore[attr-defined]


def install() -> None:
    """Add the finder once."""
    if not any(isinstance(f, SmrFinder) for f in sys.meta_path):
        sys.meta_path.append(SmrFinder())


install()
