"""Scene: what a picture shows, free of how it is drawn: boxes in frames, and the lines between boxes.

At level `op` every operation is a box. At level `block` equal layers stand once and every component is one box. What
joins streams is a small circle; a line that goes round a block, as a residual's, is a bypass.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from smrdsl.core.types import StreamType
from smrdsl.draw.outline import Outline, Part, outline
from smrdsl.draw.palette import ink_of
from smrdsl.draw.symbols import symbol
from smrdsl.draw.text import count, wrap
from smrdsl.graph.graph import Graph, Node
from smrdsl.graph.show import show_arguments, show_params

END = "return"
"""The key of the box at the end; a word that no path of the language holds."""
LONGEST = 30
"""Characters in a line of a box."""


@dataclass(frozen=True, slots=True)
class Box:
    """A step, a join, a component (`part`), or the end of the model. `ink` is a row of the palette."""

    key: str
    shape: str
    ink: str
    title: str
    details: tuple[str, ...] = ()
    tooltip: str = ""


@dataclass(slots=True)
class Frame:
    """Boxes and frames with a line around them. A frame without a title has none."""

    key: str
    title: str
    items: list[Box | Frame] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Line:
    """From box to box; `label` tells the type of the stream where it is new."""

    source: str
    target: str
    label: str = ""
    bypass: bool = False


@dataclass(slots=True)
class Scene:
    title: str
    subtitle: str
    root: Frame
    lines: list[Line]
    boxes: int
