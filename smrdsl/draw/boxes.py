"""Boxes: how one operation, or one component that is closed, is told in a picture."""

from __future__ import annotations

from dataclasses import dataclass

from smrdsl.draw.outline import Part
from smrdsl.draw.palette import ink_of
from smrdsl.draw.symbols import symbol
from smrdsl.draw.text import count, wrap
from smrdsl.graph.graph import Graph, Node
from smrdsl.graph.show import show_params
from smrdsl.ops.manual import written

END = "return"
"""The key of the box at the end; a word that no path of the language holds."""
LONGEST = 30
"""Characters in a line of a box."""


@dataclass(frozen=True, slots=True)
class Box:
    """A `step`, a `join` or `fork` of streams, a component (`part`) or an `end` of the model.

    `ink` is a row of the palette.
    """

    key: str
    shape: str
    ink: str
    title: str
    details: tuple[str, ...] = ()
    tooltip: tuple[str, ...] = ()


def step_box(g: Graph, key: str) -> Box:
    """The box of one node."""
    node = g.node(key)
    tooltip = tuple(_tooltip(g, key, node))
    if node.fusion:
        held = [h.key for h in node.fusion.holds] or [f"part {node.fusion.part}"]
        return Box(key, "step", ink_of(node.op), node.fusion.name, tuple(wrap(held, LONGEST)), tooltip)
    if node.op.structural:
        return Box(key, "join", "join", symbol(node.op, node.params), (), tooltip)
    title = f"{node.label}: {node.op.name}" if node.label else node.op.name
    details = wrap(arguments(node), LONGEST)
    if node.strategy != "auto":
        details.append(f"as {node.strategy}")
    shape = "step" if node.op.streams else "end"
    return Box(key, shape, ink_of(node.op), title, tuple(details), tooltip)


def part_box(g: Graph, part: Part) -> Box:
    """The box of a component, closed: what stands in it, once each, and how much it learns."""
    names = [g.node(key).op.name for key in part.covers if not g.node(key).op.structural]
    size = count(sum(size_of(g, key) for key in part.covers), "parameter")
    tooltip = (part.path, ", ".join(names), size)
    details = (*wrap(list(dict.fromkeys(names)), LONGEST), size)
    return Box(part.path, "part", "part", part.name, details, tooltip)


def end_box(g: Graph) -> Box:
    """The box that stands for the output."""
    return Box(END, "end", "input", "output", (), (f"what {g.output} leaves", str(g.node(g.output).type)))


def arguments(node: Node) -> list[str]:
    """The arguments that matter, as one writes them: those that are no default, and the first of a step."""
    fields = node.op.params.model_fields
    lines = []
    for index, (name, field) in enumerate(fields.items()):
        value = getattr(node.params, name)
        if value != field.get_default(call_default_factory=True) or (
            index == 0 and value is not None and not node.op.structural
        ):
            lines.append(f"{name}={written(value)}")
    return lines


def size_of(g: Graph, key: str) -> int:
    fusion = g.node(key).fusion
    return sum(held.parameters for held in fusion.holds) if fusion else sum(p.size for p in g.parameters(key).values())


def _tooltip(g: Graph, key: str, node: Node) -> list[str]:
    """All that is known of a node, line by line."""
    inputs = ", ".join(map(str, g.input_types(key)))
    flow = f"{inputs} -> {node.type}" if inputs else str(node.type)
    parts = [f"{n.op.name}({show_params(n.params)})" for n in node.parts]
    lines = [key, *parts, flow]
    learned = ", ".join(f"{name} {p.shape}" for name, p in g.parameters(key).items())
    if learned:
        lines.append(f"{count(size_of(g, key), 'parameter')}: {learned}")
    if node.shares:
        names = list(g.shared(key))
        what = "the weight" if names == ["weight"] else ", ".join(names)
        lines.append(f"shares {what} of {node.shares}")
    kept = ", ".join(f"{name} {s.shape}" for name, s in g.state(key).items())
    if kept:
        lines.append(f"state: {kept}".replace("'T'", "T"))
    return [*lines, f"{node.location}: {node.location.text}"]
