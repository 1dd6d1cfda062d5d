"""Scene: what a picture shows, free of how it is drawn: boxes in frames, and the lines between boxes.

Every operation is a box; equal layers may stand once, and a component may be one box. What joins streams is a
small circle; a line that goes round a block, as a residual's, is a bypass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from smrdsl.draw.boxes import Box, end_box, part_box, size_of, step_box
from smrdsl.draw.forks import Frame, Line, add_forks
from smrdsl.draw.outline import Outline, Part, outline
from smrdsl.draw.symbols import note
from smrdsl.draw.text import count, wrap
from smrdsl.graph.graph import Graph

NO_FRAME = ("root", "layers", "repeat", "branches", "branch")
"""Kinds of parts that have no frame of their own."""
FAR = 500
LINE = 56
"""Characters in a line below the title."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture: its headings, what stands in it, and the lines."""

    title: str
    subtitle: tuple[str, ...]
    root: Frame
    lines: tuple[Line, ...]


def scene(g: Graph, *, fold: bool = False, close: bool = False) -> Scene:
    """The scene of a graph: equal layers folded, components closed, where asked for."""
    return _Painter(g, outline(g, fold=fold), close).scene()


class _Painter:
    def __init__(self, g: Graph, plan: Outline, close: bool) -> None:
        self.g, self.plan, self.close = g, plan, close
        self.rank = {key: i for i, key in enumerate(g.keys)}
        self.at: dict[str, str] = {}
        """Node -> the box that shows it."""
        self.around: dict[str, tuple[Frame, ...]] = {}
        """Box -> the frames around it, from the outermost."""

    def scene(self) -> Scene:
        root = Frame("", "")
        self._fill((root,), self.plan.root, "")
        for key, original in self.plan.shown.items():
            self.at[key] = self.at[original]
        end = end_box(self.g)
        self._put(end, (root,))
        lines = add_forks(list(self._lines(end.key)), self.around)
        return Scene(self.g.name, self._subtitle(), root, lines)

    def _subtitle(self) -> tuple[str, ...]:
        """The arguments of the model, and how much it learns."""
        arguments = [f"{name} = {value}" for name, value in self.g.arguments.items()]
        size = sum(size_of(self.g, key) for key in self.g.keys)
        return (*wrap(arguments, LINE), count(size, "parameter"))

    # --- frames and boxes

    def _fill(self, frames: tuple[Frame, ...], part: Part, base: str) -> None:
        """Put what a part holds into the innermost frame. `base` is the path that titles leave out."""
        for item in part.items:
            if isinstance(item, str):
                self._put(step_box(self.g, item), frames)
                self.at[item] = item
            elif item.kind in NO_FRAME:
                self._fill(frames, item, base)
            elif self.close and item.kind == "component":
                self._put(part_box(self.g, item), frames)
                self.at.update(dict.fromkeys(item.covers, item.path))
            else:
                inner = Frame(item.path, item.path.removeprefix(base), item.copies)
                frames[-1].items.append(inner)
                self._fill((*frames, inner), item, item.inside)

    def _put(self, box: Box, frames: tuple[Frame, ...]) -> None:
        frames[-1].items.append(box)
        self.around[box.key] = frames

    # --- lines

    def _lines(self, end: str) -> Iterator[Line]:
        """Every line once: copies of layers say nothing new, and what one hands to the next is not shown."""
        drawn: set[tuple[str, str, int]] = set()
        told: set[str] = set()
        for key, node, inputs in self.g:
            for port, source in enumerate(inputs):
                ends = self.at[source], self.at[key]
                forward = self.rank[self.plan.shown[source]] < self.rank[self.plan.shown[key]]
                if ends[0] == ends[1] or not forward or (*ends, port) in drawn:
                    continue
                drawn.add((*ends, port))
                news = "" if source in told else self._news(source)
                told.add(source)
                yield Line(*ends, news, note(node.op, node.params, port), self._goes_round(source, inputs))
        yield Line(self.at[self.g.output], end, str(self.g.node(self.g.output).type))

    def _news(self, key: str) -> str:
        """The type of a stream where it is another than before: the width where only that changed."""
        type_, before = self.g.node(key).type, self.g.input_types(key)
        if type_ in before:
            return ""
        same_axes = any(t.dims[:-1] == type_.dims[:-1] and t.kind == type_.kind for t in before)
        return str(type_.width) if same_axes else str(type_)

    def _goes_round(self, source: str, inputs: tuple[str, ...]) -> bool:
        """Whether another input comes from `source` too, a longer way; a very long way is taken for one."""
        ahead, seen = [i for i in inputs if i != source], set[str]()
        if len(self.g.readers(source)) < 2:
            return False
        while ahead and len(seen) < FAR:
            key = ahead.pop()
            if key == source:
                return True
            if self.rank[key] > self.rank[source] and key not in seen:
                seen.add(key)
                ahead += self.g.inputs(key)
        return bool(ahead)
