"""Build: a checked model becomes a graph."""

from __future__ import annotations

from collections.abc import Iterator

from smrdsl.core.source import Span
from smrdsl.graph.check import check
from smrdsl.graph.graph import Entry, Graph, Group, Location, Node
from smrdsl.ops.contract import Range
from smrdsl.spec.model import Model
from smrdsl.spec.values import Value, Word
from smrdsl.spec.wiring import Region

TEXT_WIDTH = 60


def build(model: Model) -> Graph:
    """The graph of a model, checked."""
    arguments = {name: _show(value) for name, value in model.arguments.items()}
    graph = Graph.build(model.name, _entries(model), model.output, arguments)
    check(graph)
    return graph


def _entries(model: Model) -> Iterator[Entry]:
    locations: dict[tuple[int, int], Location] = {}
    groups: dict[int, Group] = {}
    for n in model.nodes:
        assert n.type is not None
        place = (id(n.span.source), n.span.start)
        if place not in locations:
            locations[place] = _location(n.span)
        around = tuple(groups.setdefault(id(r), _group(r)) for r in n.place.regions)
        node = Node(n.op, n.params, n.type, locations[place], n.label, around,
                    model.ties.get(n.key), n.strategy)  # fmt: skip
        yield n.key, node, tuple(n.inputs)


def _location(span: Span) -> Location:
    """A span by value, with the head of what was written there: a block is cut off."""
    head = span.text.partition("{")[0].partition("\n")[0].strip()
    text = head if len(head) <= TEXT_WIDTH else head[: TEXT_WIDTH - 3] + "..."
    return Location(span.source.path, span.line, span.column, text)


def _group(region: Region) -> Group:
    return Group(region.kind, region.path[-1], ".".join(region.path))


def _show(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "none"
        case Word():
            return value.id
        case list():
            return f"[{', '.join(map(_show, value))}]"
        case float():
            return f"{value:g}"
        case str():
            return f'"{value}"'
        case int() | Range():
            return str(value)
    raise AssertionError(value)
