"""DOT: a scene as text for Graphviz, without HTML-like labels, so that every build of it draws the same.

Boxes are sized here, so the layout does not depend on the fonts of the machine.
"""

from __future__ import annotations

import html

import graphviz

from smrdsl.draw.boxes import Box
from smrdsl.draw.palette import BYPASS, FLOW, FRAME, INKS, INNER_FRAME, PAGE, QUIET, TITLE
from smrdsl.draw.scene import Frame, Line, Scene
from smrdsl.draw.text import width

FONT = "Helvetica,Arial,sans-serif"
SIZE = 12.0
POINTS = 72.0
"""In an inch."""
BOLD = 1.12
"""How much wider a line is in bold, as names are in SVG."""
LEAST = 1.5
"""Inches that a box is wide at least, so that the titles of frames stand beside the line that enters them."""

GRAPH = {
    "rankdir": "TB", "bgcolor": PAGE, "pad": "0.3", "nodesep": "0.45", "ranksep": "0.26", "splines": "true",
    "fontname": "Helvetica-Bold", "fontsize": "22", "fontcolor": TITLE, "labelloc": "t", "labeljust": "l",
}  # fmt: skip
NODE = {
    "shape": "box", "style": "filled,rounded", "fontname": FONT, "fontsize": f"{SIZE:g}", "penwidth": "1.3",
    "margin": "0.14,0.07", "height": "0.34", "label": r"\N",
}  # fmt: skip
EDGE = {
    "color": FLOW, "fontname": FONT, "fontsize": "10", "fontcolor": QUIET, "arrowsize": "0.6",
    "penwidth": "1.2", "weight": "300",
}  # fmt: skip
PAPER = {"fontname": FONT, "fontsize": "12", "fontcolor": QUIET, "pencolor": "transparent", "margin": "12"}
CLUSTER = {"style": "filled,rounded", "fontname": FONT, "fontsize": "11", "margin": "12"}


def dot(scene: Scene) -> str:
    """The scene as DOT text."""
    name = escape(scene.title)
    g = graphviz.Digraph(scene.title, graph_attr=GRAPH, node_attr=NODE, edge_attr=EDGE)
    g.attr(label=left(f"\N{NO-BREAK SPACE}{scene.title}"), tooltip=name)
    page = graphviz.Digraph("cluster_", graph_attr=PAPER | {"label": left(*scene.subtitle), "tooltip": name})
    _fill(page, scene.root, 0)
    g.subgraph(page)
    for line in scene.lines:
        _line(g, line)
    return g.source


def _fill(g: graphviz.Digraph, frame: Frame, depth: int) -> None:
    for item in frame.items:
        if isinstance(item, Box):
            _box(g, item)
        else:
            inner = graphviz.Digraph(f"cluster_{item.key}", graph_attr=_frame(item, depth))
            _fill(inner, item, depth + 1)
            g.subgraph(inner)


def _frame(frame: Frame, depth: int) -> dict[str, str]:
    ink, many = INNER_FRAME if depth % 2 else FRAME, frame.copies > 1
    look = {
        "fillcolor": ink.fill,
        "pencolor": ink.line,
        "fontcolor": ink.text,
        "penwidth": "2" if many else "1",
    }
    title = left(frame.title, f"× {frame.copies}") if many else left(frame.title)
    return CLUSTER | look | {"label": title, "tooltip": escape(frame.key)}


def _box(g: graphviz.Digraph, box: Box) -> None:
    if box.shape == "fork":
        g.node(box.key, label="", shape="point", width="0.05", color=FLOW, tooltip=" ")
        return
    ink = INKS[box.ink]
    lines = (box.title, *box.details)
    inches = max(BOLD * width(box.title, SIZE), *(width(line, SIZE) for line in lines)) / POINTS + 0.28
    if box.shape != "join":
        look = {"width": f"{max(inches, LEAST):.2f}", "peripheries": "2" if box.shape == "part" else "1"}
    elif len(box.title) == 1:
        look = {"shape": "circle", "width": "0.3", "height": "0.3", "margin": "0.02"}
    else:
        look = {"width": f"{inches:.2f}", "height": "0.26", "margin": "0.1,0.02"}
    look |= {"fillcolor": ink.fill, "color": ink.line, "fontcolor": ink.text}
    tooltip = r"\n".join(map(escape, box.tooltip))
    g.node(box.key, label=r"\n".join(map(escape, lines)), tooltip=tooltip, **look)


def _line(g: graphviz.Digraph, line: Line) -> None:
    label = "  ".join(filter(None, (line.news, line.note)))
    look = {"label": f" {escape(label)}"} if label else {}
    if not line.arrow:
        look["arrowhead"] = "none"
    if line.bypass:
        look |= {"color": BYPASS, "weight": "1"}
    g.edge(line.source, line.target, **look)


def left(*lines: str) -> str:
    """A label whose lines begin at the left."""
    return "".join(rf"{escape(line)}\l" for line in lines)


def escape(text: str) -> str:
    """Text that Graphviz shows as it is: no escapes, no entities, no markup."""
    return html.escape(text, quote=False).replace("\\", "\\\\")
