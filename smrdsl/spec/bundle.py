"""Bundle: the canonical text of a file with its imports resolved: one text that means the same and needs no other.

What is used of imported files is written before what uses it, under its own name where that is free. Comments are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from smrdsl.core.errors import Report
from smrdsl.core.source import Source, Span
from smrdsl.spec.files import Unit
from smrdsl.syntax import tree
from smrdsl.syntax.format import format_text

Item = tree.Component | tree.Model | tree.Let


def bundle(unit: Unit) -> str:
    """The text of a unit that was read without mistakes, in the one style."""
    source = unit.file.span.source
    text = source.text
    if any(isinstance(i, tree.Import) for i in unit.file.items):
        text = _Bundle(unit).text()
    formatted = format_text(Source(source.path, text), report := Report())
    assert formatted is not None, report.diagnostics
    return formatted


@dataclass(slots=True)
class _Bundle:
    """Collects what is needed, in the order in which it must stand."""

    root: Unit
    names: dict[int, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    parts: list[str] = field(default_factory=list)

    def text(self) -> str:
        own = [i for i in self.root.file.items if not isinstance(i, tree.Import)]
        for item in own:
            self.names[id(item)] = item.name.id
            self.taken.add(item.name.id)
        for item in own:
            self._need(item, self.root)
        source = self.root.file.span.source
        edits = [(i.span, "") for i in self.root.file.items if isinstance(i, tree.Import)]
        for item in own:
            edits += self._edits(item, self.root)
        first = min(span.start for span, _ in edits)
        body = _edited(source, Span(source, 0, len(source.text)), edits)
        return body[:first] + "\n\n".join(self.parts) + "\n\n" + body[first:]

    def _need(self, item: Item, unit: Unit) -> None:
        """Write down what an item uses of other files, each once, what is used before what uses it."""
        for _, target, home in self._uses(item, unit):
            if id(target) in self.names:
                continue
            name = target.name.id
            while name in self.taken:
                name += "_"
            self.names[id(target)] = name
            self.taken.add(name)
            self._need(target, home)
            own = [(target.name.span, name)]
            text = _edited(target.span.source, target.span, [*own, *self._edits(target, home)])
            self.parts.append(text)

    def _edits(self, item: Item, unit: Unit) -> list[tuple[Span, str]]:
        return [(span, self.names[id(target)]) for span, target, _ in self._uses(item, unit)]

    def _uses(self, item: Item, unit: Unit) -> Iterator[tuple[Span, Item, Unit]]:
        """(place, definition, its unit) of every name in an item that another definition at the top stands for."""
        hidden = {n.name.id for n in nodes(item) if isinstance(n, tree.Let | tree.Tap | tree.Parameter)}
        hidden |= {n.index.id for n in nodes(item) if isinstance(n, tree.Repeat) and n.index}
        for n in nodes(item):
            if not isinstance(n, tree.Name | tree.Dotted | tree.Selector):
                continue
            text = n.span.text
            found = _lookup(text, unit, hidden)
            if found is not None and n is not item.name:
                yield n.span, *found


def _lookup(text: str, unit: Unit, hidden: set[str]) -> tuple[Item, Unit] | None:
    """The definition at the top of some file that a name stands for."""
    alias, dot, name = text.rpartition(".")
    home = unit.aliases.get(alias) if dot else unit
    if home is None or (not dot and name in hidden):
        return None
    for table in (home.components, home.models):
        if name in table:
            return table[name]
    if name in home.lets.names:
        return _let(name, home)
    return None


def _let(name: str, unit: Unit) -> tuple[Item, Unit] | None:
    """The `let` of a name, in the unit or in one that it imports."""
    for item in unit.file.items:
        if isinstance(item, tree.Let) and item.name.id == name:
            return item, unit
    for home in unit.imported:
        if (found := _let(name, home)) is not None:
            return found
    return None


def nodes(node: tree.Node) -> Iterator[tree.Node]:
    """A node and all nodes in it."""
    stack = [node]
    while stack:
        n = stack.pop()
        yield n
        for f in fields(n):
            value = getattr(n, f.name)
            if isinstance(value, tree.Node):
                stack.append(value)
            elif isinstance(value, tuple):
                stack.extend(v for v in value if isinstance(v, tree.Node))


def _edited(source: Source, whole: Span, edits: list[tuple[Span, str]]) -> str:
    """The text of a span with parts replaced."""
    text, at = "", whole.start
    for span, replacement in sorted(set(edits), key=lambda e: e[0].start):
        text += source.text[at : span.start] + replacement
        at = span.end
    return text + source.text[at : whole.end]
