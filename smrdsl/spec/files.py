"""Units: files that were read and parsed, with their lets, components, models and imports by name.

`std/...` is the library inside the package; any other import is relative to the importing file. Only regular `.smr`
files are read. Imports are not transitive, names that start with `_` stay private, cycles are errors.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smrdsl.core.errors import Diagnostic, Related, Report, SpecError, did_you_mean
from smrdsl.core.source import Source
from smrdsl.spec.values import POISON, Scope
from smrdsl.syntax import tree
from smrdsl.syntax.parse import parse

STD = Path(__file__).parent.parent / "std"
TEXT_LIMIT = 1_000_000


@dataclass(slots=True, eq=False)
class Unit:
    """A parsed file. `components` and `models` hold imported ones too, each with the unit that it was written in."""

    file: tree.File
    path: Path | None
    lets: Scope = field(default_factory=Scope)
    components: dict[str, tuple[tree.Component, Unit]] = field(default_factory=dict)
    models: dict[str, tuple[tree.Model, Unit]] = field(default_factory=dict)
    aliases: dict[str, Unit] = field(default_factory=dict)
    imported: list[Unit] = field(default_factory=list)

    def own_components(self) -> list[tree.Component]:
        """The components written in this file."""
        return [item for item in self.file.items if isinstance(item, tree.Component)]

    def own_models(self) -> list[tree.Model]:
        """The models written in this file."""
        return [item for item in self.file.items if isinstance(item, tree.Model)]

    def component(self, callee: tree.Name | tree.Dotted) -> tuple[tree.Component, Unit] | None:
        """The component that a callee names, with its unit."""
        if isinstance(callee, tree.Name):
            return self.components.get(callee.id)
        return self._behind(callee, "components")

    def model(self, callee: tree.Name | tree.Dotted) -> tuple[tree.Model, Unit] | None:
        if isinstance(callee, tree.Name):
            return self.models.get(callee.id)
        return self._behind(callee, "models")

    def _behind(self, callee: tree.Dotted, table: str):
        library = self.aliases.get(callee.base)
        if library is None or callee.attribute.startswith("_"):
            return None
        found = getattr(library, table).get(callee.attribute)
        return found if found and found[1] is library else None

    def component_names(self) -> list[str]:
        prefixed = (
            f"{alias}.{c.name.id}"
            for alias, unit in self.aliases.items()
            for c in unit.own_components()
            if not c.name.id.startswith("_")
        )
        return [*self.components, *prefixed]


def read_source(path: Path, limit: int = TEXT_LIMIT) -> Source:
    """The text of a regular UTF-8 file. Raises `SpecError`."""

    def refuse(code: str, message: str) -> SpecError:
        return SpecError([Diagnostic(code, message, file=str(path))])

    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise refuse("E0601", f"{path} is a directory; name a .smr file")
        if not stat.S_ISREG(status.st_mode):
            raise refuse("E0601", f"{path} is not a regular file")
        if status.st_size > limit:
            raise refuse("E0701", f"{path} has {status.st_size:,} bytes of text, more than {limit:,}")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise refuse("E0601", f"cannot read {path}: {reason}") from None
    try:
        return Source(os.fsencode(path).decode(errors="replace"), data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 text: byte {error.start + 1:,} is 0x{data[error.start]:02x}"
        raise refuse("E0601", message) from None


class Library:
    """Reads files with their imports, each once."""

    def __init__(self, report: Report, text_limit: int = TEXT_LIMIT) -> None:
        self.report = report
        self.text_limit = text_limit
        self.units: dict[Path, Unit | None] = {}
        self._open: list[Path] = []

    def load(self, source: Source, path: Path | None) -> Unit | None:
        """The unit of a text, None where it cannot be parsed. `path` is where its imports are looked for."""
        file = parse(source, self.report, limit=self.text_limit)
        return self.unit_of(file, path) if file else None

    def unit_of(self, file: tree.File, path: Path | None) -> Unit:
        """The unit of a parsed file: its names, and those of its imports."""
        unit = Unit(file, path)
        origin: dict[str, tree.Node] = {}
        for item in file.items:
            match item:
                case tree.Import():
                    self._import(item, unit, origin)
                case tree.Component():
                    self._define(item.name, origin, unit)
                    unit.components[item.name.id] = (item, unit)
                case tree.Model():
                    self._define(item.name, origin, unit)
                    unit.models[item.name.id] = (item, unit)
                case tree.Let():
                    self._define(item.name, origin, unit)
                    self._let(item, unit)
        return unit

    def _let(self, item: tree.Let, unit: Unit) -> None:
        from smrdsl.spec.evaluate import Evaluator
        from smrdsl.spec.values import Word

        evaluator = Evaluator(unit.lets, self.report, unit)
        value = evaluator.value(item.value)
        unit.lets.names[item.name.id] = evaluator.unknown(value) if isinstance(value, Word) else value

    def _define(self, name: tree.Name, origin: dict[str, tree.Node], unit: Unit) -> bool:
        """Note that a name is taken; report a second definition."""
        first = origin.setdefault(name.id, name)
        if first is name:
            return True
        imported = isinstance(first, tree.Import)
        self.report.error(
            "E0203",
            f"`{name.id}` is {'imported' if imported else 'defined'} already in this file",
            name.span,
            related=[Related("first here", first.span)],
        )
        return False

    def _import(self, item: tree.Import, unit: Unit, origin: dict[str, tree.Node]) -> None:
        library = self._open_import(item, unit)
        if library is None:
            unit.lets.names.update({item.alias.id: POISON} if item.alias else {})
            return
        if item.alias:
            if self._define(item.alias, origin, unit):
                unit.aliases[item.alias.id] = library
            return
        unit.imported.append(library)
        for name, target, value in _public(library):
            first = origin.setdefault(name, item)
            if first is not item:
                self.report.error(
                    "E0603",
                    f'`{name}` of "{item.path.value}" clashes with another; import it `as` a prefix',
                    item.span,
                    related=[Related("the other", first.span)],
                )
                continue
            table: dict[str, Any] = unit.lets.names if target == "lets" else getattr(unit, target)
            table[name] = value

    def _open_import(self, item: tree.Import, unit: Unit) -> Unit | None:
        written = item.path.value
        if not written.endswith(".smr"):
            self.report.error("E0602", f'"{written}" is not a .smr file', item.path.span)
            return None
        if written.startswith("std/"):
            path = STD / written.removeprefix("std/")
            if path.parent != STD or not path.is_file():
                known = sorted(f"std/{p.name}" for p in STD.glob("*.smr"))
                message = f'the library has no "{written}"{did_you_mean(written, known)}'
                self.report.error("E0602", message, item.path.span)
                return None
        elif unit.path is None:
            message = f'"{written}" is relative to a file, and this text has none'
            self.report.error("E0602", message, item.path.span)
            return None
        else:
            path = unit.path.parent / written
        return self._read(path, item)

    def _read(self, path: Path, item: tree.Import) -> Unit | None:
        real = path.resolve()
        if real in self._open:
            way = " -> ".join(p.name for p in [*self._open[self._open.index(real) :], real])
            self.report.error("E0207", f"imports lead back to themselves: {way}", item.path.span)
            return None
        if real not in self.units:
            self.units[real] = None
            try:
                source = read_source(path, self.text_limit)
            except SpecError as error:
                code = "E0701" if error.diagnostics[0].code == "E0701" else "E0602"
                self.report.error(code, error.diagnostics[0].message, item.path.span)
                return None
            self._open.append(real)
            self.units[real] = self.load(source, path)
            self._open.pop()
        return self.units[real]

    def root(self, source: Source, path: Path | None, file: tree.File | None = None) -> Unit | None:
        """The unit of the text that a user gave, or of a tree that stands for it."""
        self._open = [path.resolve()] if path else []
        return self.unit_of(file, path) if file else self.load(source, path)


def _public(library: Unit) -> Iterator[tuple[str, str, object]]:
    """(name, table, value) of what a unit's own text offers to others."""
    own = {name.id for item in library.file.items if (name := getattr(item, "name", None))}
    for table in ("components", "models"):
        for name, value in getattr(library, table).items():
            if value[1] is library and not name.startswith("_"):
                yield name, table, value
    for name, value in library.lets.names.items():
        if name in own and not name.startswith("_"):
            yield name, "lets", value
