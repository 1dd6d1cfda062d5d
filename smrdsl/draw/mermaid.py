"""Mermaid: a scene as the text of a flowchart, which GitHub and most wikis draw."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from smrdsl.draw.boxes import Box
from smrdsl.draw.forks import Frame, Line
from smrdsl.draw.palette import INKS
from smrdsl.draw.scene import Scene

SHAPES = {
    "step": ("(", ")"),
    "part": ("[[", "]]"),
    "end": ("([", "])"),
    "join": ("((", "))"),
    "fork": ("((", "))"),
}
"""Shape of a box -> the brackets around its text."""


def mermaid(scene: Scene) -> str:
    """The scene as a Mermaid flowchart."""
    names: dict[str, str] = {}
    body = [*_items(scene.root, names, 1), *(_line(line, names) for line in scene.lines)]
    inks = [f"  classDef {name} fill:{ink.fill},stroke:{ink.line},color:{ink.text}" for name, ink in INKS.items()]
    title = json.dumps(": ".join([scene.title, ", ".join(scene.subtitle)]), ensure_ascii=False)
    return "\n".join(["---", f"title: {title}", "---", "flowchart TB", *body, *inks, ""])


def _items(frame: Frame, names: dict[str, str], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for item in frame.items:
        name = names[item.key] = f"n{len(names)}"
        if isinstance(item, Box):
            left, right = SHAPES[item.shape]
            text = "<br/>".join(map(_escape, filter(None, (item.title, *item.details))))
            yield f'{indent}{name}{left}"{text or " "}"{right}:::{item.ink}'
            continue
        title = f"{item.title} × {item.copies}" if item.copies > 1 else item.title
        yield f'{indent}subgraph {name}["{_escape(title)}"]'
        yield from _items(item, names, depth + 1)
        yield f"{indent}end"


def _line(line: Line, names: dict[str, str]) -> str:
    """A bypass is dotted; a line into a fork has no arrow."""
    text = _escape("  ".join(filter(None, (line.news, line.note))))
    label = f'|"{text}"|' if text else ""
    arrow = "-.->" if line.bypass else "-->" if line.arrow else "---"
    return f"  {names[line.source]} {arrow}{label} {names[line.target]}"


def _escape(text: str) -> str:
    """Text that Mermaid shows as it is, in quotes: its own marks become numbered entities."""
    return re.sub(r"""[^\w .,:=+()/×·−-]""", lambda m: f"#{ord(m[0])};", text)
