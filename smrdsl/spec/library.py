"""Library: the components of `std/*.smr`, which the package brings, as a reader looks for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from smrdsl.core.errors import Report
from smrdsl.core.source import Source
from smrdsl.spec.files import STD, read_source
from smrdsl.syntax import tree
from smrdsl.syntax.parse import parse
from smrdsl.syntax.show import show


@dataclass(frozen=True, slots=True)
class Entry:
    """A component of the library: the file that is imported for it, how it is called, and what it says of itself."""

    name: str
    file: str
    signature: str
    summary: str
    text: str
    """The whole file: the page that is held beside the paper."""


@cache
def library() -> Mapping[str, Entry]:
    """Name -> component."""
    return {e.name: e for path in sorted(STD.glob("*.smr")) for e in _entries(f"std/{path.name}", read_source(path))}


def _entries(file: str, source: Source) -> list[Entry]:
    parsed = parse(source, Report())
    assert parsed is not None, f"{file} cannot be parsed"
    components = [item for item in parsed.items if isinstance(item, tree.Component)]
    return [Entry(c.name.id, file, _signature(c), _summary(c), source.text) for c in components]


def _signature(c: tree.Component) -> str:
    parameters = (p.name.id + (f"={show(p.default)}" if p.default else "") for p in c.parameters)
    return f"{c.name.id}({', '.join(parameters)})"


def _summary(c: tree.Component) -> str:
    """The first sentence of the comment above it."""
    above = c.span.source.text[: c.span.start].rstrip("\n").splitlines()
    lines: list[str] = []
    while above and above[-1].startswith("#"):
        lines.insert(0, above.pop().lstrip("# "))
    return re.split(r"(?<=\.)\s", " ".join(lines), maxsplit=1)[0]
