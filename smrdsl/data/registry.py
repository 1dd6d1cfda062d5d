"""Finds the data sets, those of this folder, and loads the one that a text such as `listops` or `text:notes/` names."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from smrdsl.core.errors import did_you_mean
from smrdsl.data.check import check
from smrdsl.data.contract import Data, DataError, DataSet, Options, Request


@cache
def datasets() -> Mapping[str, DataSet]:
    """Every data set by name."""
    import smrdsl.data

    found: dict[str, DataSet] = {}
    for info in pkgutil.iter_modules(smrdsl.data.__path__, "smrdsl.data."):
        module = import_module(info.name)
        single = getattr(module, "DATASET", None)
        for dataset in (single,) if single else getattr(module, "DATASETS", ()):
            assert dataset.name not in found, f"two data sets are called {dataset.name}"
            found[dataset.name] = dataset
    return MappingProxyType(dict(sorted(found.items())))


def load(text: str, request: Request | None = None, options: Mapping[str, Any] | None = None) -> Data:
    """The data of a text: `NAME`, `NAME:PATH`, or the path of an npz file. Raises `DataError`.

    options: those of the data set; `smrdsl train --help` lists the names. What is loaded is in order: whole numbers in
    their range, reals finite, time running forwards.
    """
    dataset, path = find(text)
    values = parse(dataset, options or {})
    try:
        return check(dataset.load(values, replace(request or Request(), path=path)))
    except OSError as error:
        raise DataError(f"cannot read {error.filename or text}: {error.strerror or error}") from None
    except MemoryError:
        raise DataError(f"{text} does not fit into memory: take less of it, or shorter sequences (--length)") from None


def find(text: str) -> tuple[DataSet, Path | None]:
    """The data set that a text names, and its path. Raises `DataError`."""
    name, colon, behind = text.partition(":")
    known = datasets()
    if name in known:
        return known[name], _path(known[name], behind if colon else None)
    if text.endswith(".npz"):
        return known["npz"], Path(text)
    path = Path(text)
    if path.is_file():
        raise DataError(f"{text}: own data is an .npz file (docs/training.md); to learn its bytes, write text:{text}")
    if path.is_dir():
        raise DataError(f"{text} is a folder: say what is in it, as in text:{text} or imdb:{text}")
    hint = did_you_mean(name, known) or f"; there are {', '.join(known)}, and the path of an .npz file"
    raise DataError(f"no data set `{name}`{hint}")


def _path(dataset: DataSet, behind: str | None) -> Path | None:
    what = dataset.path.removesuffix("?")
    if behind and not what:
        raise DataError(f"the data set `{dataset.name}` takes nothing behind a colon")
    if not behind and what and not dataset.path.endswith("?"):
        raise DataError(f"the data set `{dataset.name}` is read from your files: write {dataset.name}:PATH, {what}")
    return Path(behind).expanduser() if behind else None


def parse(dataset: DataSet, given: Mapping[str, Any]) -> Options:
    """The options of a data set, texts read as what they should be. Raises `DataError`."""
    fields = dataset.options.model_fields
    for name in given:
        if name not in fields:
            there = f"it has {', '.join(fields)}" if fields else "it has none"
            raise DataError(
                f"the data set `{dataset.name}` has no option `{name}`{did_you_mean(name, fields)}; {there}"
            )
    try:
        return dataset.options.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"the option {where} of the data set `{dataset.name}`: {first['msg']}") from None
