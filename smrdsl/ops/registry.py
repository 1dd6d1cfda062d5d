"""Finds the operators: those in this folder, those a program registered, and those of installed packages.

A module or folder here is an operator's place if it holds `OPERATOR` or `OPERATORS`; its name must be the operator's
(or, for a table, its own). Other packages offer theirs through the entry point group `smrdsl.operators`: each entry
names an `Operator` or a class made one by `@smrdsl.operator`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType

from smrdsl.core.errors import SmrError
from smrdsl.ops.contract import Operator

GROUP = "smrdsl.operators"

_registered: dict[str, Operator] = {}


@cache
def _shipped() -> Mapping[str, Operator]:
    import smrdsl.ops

    found: dict[str, Operator] = {}
    for info in pkgutil.iter_modules(smrdsl.ops.__path__, "smrdsl.ops."):
        module = import_module(info.name)
        single = getattr(module, "OPERATOR", None)
        for op in (single,) if single else getattr(module, "OPERATORS", ()):
            assert single is None or info.name.endswith(f".{op.name}"), f"{info.name} declares {op.name}"
            assert op.name not in found, f"two operators are called {op.name}"
            found[op.name] = op
    return MappingProxyType(found)


@cache
def _installed() -> Mapping[str, Operator]:
    from importlib.metadata import entry_points

    found: dict[str, Operator] = {}
    for entry in entry_points(group=GROUP):
        loaded = entry.load()
        op = getattr(loaded, "OPERATOR", loaded)
        if not isinstance(op, Operator):
            raise SmrError(f"the entry point {GROUP}: {entry.name} = {entry.value} is not an operator")
        found[op.name] = op
    return found


def operators() -> dict[str, Operator]:
    """Every operator by name. A registered one hides an installed one, and that a shipped one of the same name."""
    return {**_shipped(), **_installed(), **_registered}


def register(op: Operator) -> None:
    """Make an operator known to this process."""
    _registered[op.name] = op


def families() -> dict[str, tuple[str, ...]]:
    """Family -> names of its operators, in order."""
    table: dict[str, list[str]] = {}
    for op in operators().values():
        for family in op.families:
            table.setdefault(family, []).append(op.name)
    return {name: tuple(sorted(members)) for name, members in table.items()}
