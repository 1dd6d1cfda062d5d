"""Render: a picture of a graph in a file; its ending says in which form.

.svg .png .pdf    drawn by Graphviz (`pip install "smrdsl[render]"`, or the program `dot`)
.dot .mmd         the same picture as text for Graphviz, and for Mermaid (GitHub and most wikis show it)
.json             the graph itself, as `graph.json` in a package
"""

from __future__ import annotations

import math
from pathlib import Path

from smrdsl.core.errors import SmrError, did_you_mean
from smrdsl.core.write import write_whole
from smrdsl.draw.scene import Scene, scene
from smrdsl.graph.graph import Graph
from smrdsl.graph.show import to_json

LEVELS = ("op", "block")
FORMS = ("svg", "png", "pdf", "dot", "mmd", "json")
LARGEST = {"svg": 1700, "png": 1700, "pdf": 1700, "mmd": 500}
"""Lines that a form can bear: the time of a layout grows with their cube (1,600 take 4 s, 3,200 take 50), and
Mermaid itself refuses more."""


def render(graph: Graph, path: str | Path, level: str = "op") -> Path:
    """Write a picture, whole or not at all, and give its path.

    Level `op` shows every operation; `block` shows equal layers once, and a component as one box. Where the
    form cannot bear so much, equal layers are folded at level `op` too. Raises `SmrError` where the level or
    ending is none, the picture would be too large, or Graphviz is missing; `OSError` where no file can be
    written.
    """
    path = Path(path)
    write_whole(path, picture(graph, form_of(path), level))
    return path


def form_of(path: Path) -> str:
    """The form that the ending of a file asks for."""
    form = path.suffix.lower().removeprefix(".")
    if form not in FORMS:
        known = ", ".join(f".{f}" for f in FORMS)
        raise SmrError(f"`{path}`: the ending says which picture is wanted; there are {known}")
    return form


def picture(graph: Graph, form: str, level: str = "op") -> bytes:
    """The picture in one of `FORMS`."""
    if level not in LEVELS:
        hint = did_you_mean(level, LEVELS) or f"; there are {', '.join(LEVELS)}"
        raise SmrError(f"no level `{level}`{hint}")
    if form == "json":
        return to_json(graph).encode()
    seen = _scene(graph, form, level)
    if form == "mmd":
        from smrdsl.draw.mermaid import mermaid

        return mermaid(seen).encode()
    from smrdsl.draw.dot import dot

    return dot(seen).encode() if form == "dot" else _drawn(dot(seen), form)


def _scene(graph: Graph, form: str, level: str) -> Scene:
    """What is shown at a level, folded where it would be too large otherwise."""
    largest, close = LARGEST.get(form, math.inf), level == "block"
    lines = math.inf
    for fold in (True,) if close or graph.nx.number_of_edges() > largest else (False, True):
        seen = scene(graph, fold=fold, close=close)
        lines = len(seen.lines)
        if lines <= largest:
            return seen
    advice = f"{'' if close else 'level `block`, or '}the endings .dot and .json"
    raise SmrError(f"{lines:,} lines are more than a .{form} can show ({largest:,}); try {advice}")


def _drawn(dot: str, form: str) -> bytes:
    from smrdsl.draw.layout import lay_out
    from smrdsl.draw.svg import finish

    drawn = lay_out(dot, form)
    return finish(drawn) if form == "svg" else drawn
