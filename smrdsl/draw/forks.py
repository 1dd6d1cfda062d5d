"""Frames, lines and forks: where a stream is read more than once in a frame, one line goes in and forks.

So the way round of a residual stays within its layer, and a folded layer has one line in and one out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from smrdsl.draw.boxes import Box


@dataclass(slots=True, eq=False)
class Frame:
    """Boxes and frames with a line around them, the outermost without. `copies`: how many layers it shows."""

    key: str
    title: str
    copies: int = 1
    items: list[Box | Frame] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Line:
    """From box to box. `news` tells the type of the stream where it changed, `note` what is done to it."""

    source: str
    target: str
    news: str = ""
    note: str = ""
    bypass: bool = False
    arrow: bool = True


def add_forks(lines: list[Line], around: dict[str, tuple[Frame, ...]]) -> tuple[Line, ...]:
    """The lines, and forks put into their frames. `around` gives the frames of a box, outermost first."""
    bundles: dict[tuple[str, str], list[int]] = {}
    for index, line in enumerate(lines):
        entered = [f for f in around[line.target] if f not in around[line.source]]
        if entered:
            bundles.setdefault((line.source, entered[0].key), []).append(index)
    bundled = [bundle for bundle in bundles.values() if len(bundle) > 1]
    forked = list(lines)
    for bundle in bundled:
        first = lines[bundle[0]]
        frame = _innermost([around[lines[i].target] for i in bundle])
        fork = Box(f"{first.source}>{frame.key}", "fork", "join", "")
        frame.items.insert(0, fork)
        for index in bundle:
            forked[index] = replace(lines[index], source=fork.key, news="")
        forked.append(Line(first.source, fork.key, first.news, arrow=False))
    return tuple(forked)


def _innermost(frames: list[tuple[Frame, ...]]) -> Frame:
    """The deepest frame that is around all."""
    return [same[0] for same in zip(*frames, strict=False) if len(set(same)) == 1][-1]
