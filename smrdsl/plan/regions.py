"""Regions: parts of a model with one stream in and one out, which may be run a second time for the backward pass.

Where only one stream crosses from what stands before to what stands behind, a graph can be cut. What lies between two
cuts is a block: a residual block, or what has a layer's path in common, as `layers.3`. Neighbouring blocks join.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from smrdsl.graph.graph import Graph


@dataclass(frozen=True, slots=True)
class Region:
    """Nodes that are run again: what they are called, their keys in order, and the stream that they read."""

    name: str
    keys: tuple[str, ...]
    source: str


def blocks(g: Graph) -> list[Region]:
    """The blocks of a model that may be run twice, in order."""
    found: list[list[str]] = []
    named = ""
    for segment in _segments(g):
        name = _unit(segment)
        if name and name == named:
            found[-1] += segment
        else:
            found.append(segment)
        named = name
    return [_region(g, keys) for keys in found if _worthwhile(g, keys)]


def joined(parts: list[Region], count: int) -> list[Region]:
    """Regions of up to so many blocks each, that follow one another."""
    found: list[list[Region]] = []
    for part in parts:
        if found and len(found[-1]) < count and part.source == found[-1][-1].keys[-1]:
            found[-1].append(part)
        else:
            found.append([part])
    return [Region(_names(run), tuple(k for r in run for k in r.keys), run[0].source) for run in found]


def _segments(g: Graph) -> Iterator[list[str]]:
    """What lies between two cuts; it ends with the node whose stream alone goes on."""
    last: dict[str, int] = {}
    for i, (_, _, inputs) in enumerate(g):
        last.update(dict.fromkeys(inputs, i))
    last[g.output] = len(g)
    segment: list[str] = []
    alive: set[str] = set()
    for i, key in enumerate(g.keys):
        alive = {k for k in (*alive, key) if last.get(k, i) > i}
        if key != g.input:
            segment.append(key)
        if segment and alive <= {key}:
            yield segment
            segment = []


def _unit(segment: list[str]) -> str:
    """The layer that a segment belongs to: the path that its keys share, up to the last number, or its first name."""
    columns = zip(*(key.split(".")[:-1] for key in segment), strict=False)
    shared = [names[0] for names in takewhile(lambda names: len(set(names)) == 1, columns)]
    numbers = [i for i, name in enumerate(shared) if name.isdigit()]
    return ".".join(shared[: numbers[-1] + 1] if numbers else shared[:1])


def _worthwhile(g: Graph, keys: list[str]) -> bool:
    """Whether running a block twice may save something, and leaves everything else as it is."""
    nodes = [g.node(key) for key in keys]
    return len(keys) > 1 and not any(n.op.learns_forward(n.params) for n in nodes)


def _region(g: Graph, keys: list[str]) -> Region:
    inside = set(keys)
    (source,) = {i for key in keys for i in g.inputs(key) if i not in inside}
    return Region(_unit(keys) or f"{keys[0]} to {keys[-1]}", tuple(keys), source)


def _names(run: list[Region]) -> str:
    return run[0].name if len(run) == 1 else f"{run[0].name} to {run[-1].name}"
