"""Bundle: the canonical text of a file with its imports resolved: one text that means the same and needs no other.

What is used of imported files is written first, with the comments at it; models last, since the first model of a file
is its default. Each definition keeps its name where nothing in the texts means anything else by it; else it is
numbered, `block__2`, which paths and selectors do not mind.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from smrdsl.core.errors import Report
from smrdsl.core.source import Source, Span
from smrdsl.spec.paths import plain
from smrdsl.spec.units import Item, Unit
from smrdsl.syntax import tree
from smrdsl.syntax.format import format_text


def bundle(unit: Unit) -> str:
    """The text of a unit that was read without mistakes, in the one style."""
    source = unit.file.span.source
    text = source.text
    if any(isinstance(i, tree.Import) for i in unit.file.items):
        text = _Bundle(unit).text()
    formatted = format_text(Source(source.path, text), report := Report(), limit=len(text.encode()) + 1)
    assert formatted is not None, report.diagnostics
    return formatted


@dataclass(slots=True)
class _Bundle:
    """Collects what is needed, names it, and writes it in the order in which it must stand."""

    root: Unit
    needed: dict[int, tuple[Item, Unit]] = field(default_factory=dict)
    units: dict[int, Unit] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    meant: dict[int, set[str]] = field(default_factory=dict)
    """For each unit by its id, the names in the needed parts of its text that stand for no definition of a file."""

    def text(self) -> str:
        self._collect()
        self._give_names()
        others = [(item, unit) for unit in self._units() if unit is not self.root for item in _items(unit)]
        texts = [(item, self._part(item, unit)) for item, unit in others if id(item) in self.needed]
        first = "\n\n".join(text for item, text in texts if not isinstance(item, tree.Model))
        models = "\n\n".join(text for item, text in texts if isinstance(item, tree.Model))
        return f"{self._root_text(first)}\n\n{models}"

    # --- what is needed

    def _collect(self) -> None:
        """Everything of the root, and what that uses, and so on."""
        waiting = [(item, self.root) for item in reversed(_items(self.root))]
        while waiting:
            item, unit = waiting.pop()
            if id(item) in self.needed:
                continue
            self.needed[id(item)] = (item, unit)
            self.units[id(unit)] = unit
            uses = unit.uses[id(item)]
            places = {(use.span.start, use.span.end) for use in uses}
            self.meant.setdefault(id(unit), set()).update(_names(item, places))
            waiting.extend((use.item, use.unit) for use in reversed(uses))

    def _units(self) -> list[Unit]:
        """The files, each behind those that it imports."""
        done: dict[int, Unit] = {}
        stack = [(self.root, iter([*self.root.imported, *self.root.aliases.values()]))]
        while stack:
            unit, imports = stack[-1]
            inner = next((u for u in imports if id(u) not in done), None)
            if inner is None:
                done[id(unit)] = stack.pop()[0]
            else:
                stack.append((inner, iter([*inner.imported, *inner.aliases.values()])))
        return list(done.values())

    # --- names

    def _give_names(self) -> None:
        """The root's definitions choose first. Where several have one name, only the root's keeps it."""
        own = [entry for entry in self.needed.values() if entry[1] is self.root]
        others = [entry for entry in self.needed.values() if entry[1] is not self.root]
        count = Counter(plain(item.name.id) for item, _ in self.needed.values())
        meant: set[str] = set().union(*self.meant.values())
        given: set[str] = set()
        for item, unit in [*own, *others]:
            name, base = item.name.id, plain(item.name.id)
            keeps = (unit is self.root or count[base] == 1) and not self._means_else(item)
            numbers = itertools.count(2)
            while name in given or not keeps:
                name = f"{base}__{next(numbers)}"
                keeps = name not in meant
            given.add(name)
            self.names[id(item)] = name

    def _means_else(self, item: Item) -> bool:
        """Whether a text in which this definition is not known says its name, and means something else."""
        name = item.name.id
        if isinstance(item, tree.Model):
            return False
        for key in (key for key, names in self.meant.items() if name in names):
            known = self.units[key].let_items if isinstance(item, tree.Let) else self.units[key].components
            if known.get(name, (None,))[0] is not item:
                return True
        return False

    # --- texts

    def _part(self, item: Item, unit: Unit) -> str:
        """The text of an item, with the comments that stand right above it and behind it."""
        source = item.span.source
        start = _above(source, item.span.start)
        line_end = source.text.find("\n", item.span.end)
        rest = source.text[item.span.end : line_end if line_end >= 0 else len(source.text)]
        end = item.span.end + len(rest) if rest.strip().startswith("#") else item.span.end
        return _edited(source, Span(source, start, end), self._edits(item, unit))

    def _edits(self, item: Item, unit: Unit) -> list[tuple[Span, str]]:
        uses = [(use.span, self.names[id(use.item)]) for use in unit.uses[id(item)]]
        return [(item.name.span, self.names[id(item)]), *uses]

    def _root_text(self, imported: str) -> str:
        """The root's text with what it imports in the place of its first import."""
        source = self.root.file.span.source
        edits: list[tuple[Span, str]] = []
        for item in self.root.file.items:
            edits += [(item.span, "")] if isinstance(item, tree.Import) else self._edits(item, self.root)
        first = self.root.file.items[0]
        at = first.span.start if isinstance(first, tree.Import) else _above(source, first.span.start)
        edits.append((Span(source, at, at), f"{imported}\n\n"))
        return _edited(source, Span(source, 0, len(source.text)), edits)


def _items(unit: Unit) -> list[Item]:
    return [i for i in unit.file.items if not isinstance(i, tree.Import)]


def _names(item: Item, places: set[tuple[int, int]]) -> Iterator[str]:
    """The names in an item that are its own: parameters, taps, labels, words, operators."""
    for n in nodes(item):
        if isinstance(n, tree.Name) and n is not item.name and (n.span.start, n.span.end) not in places:
            yield n.id
        elif isinstance(n, tree.Dotted) and (n.span.start, n.span.end) not in places:
            yield n.base


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


def _above(source: Source, start: int) -> int:
    """Where the comments begin that stand on the lines right above an item, alone on their lines as it is."""
    line, column = source.position(start)
    if source.line(line)[: column - 1].strip():
        return start
    while line > 1 and source.line(line - 1).lstrip().startswith("#"):
        line -= 1
        start = source.starts[line - 1]
    return start


def _edited(source: Source, whole: Span, edits: list[tuple[Span, str]]) -> str:
    """The text of a span with parts replaced."""
    parts, at = [], whole.start
    for span, replacement in sorted(set(edits), key=lambda e: (e[0].start, e[0].end)):
        parts += [source.text[at : span.start], replacement]
        at = span.end
    return "".join([*parts, source.text[at : whole.end]])
