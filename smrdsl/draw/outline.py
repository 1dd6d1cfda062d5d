"""Outline: the parts of a graph as a tree, read off the paths of its nodes.

A part is what a component, a labelled block, a layer of a repeat or a direction of `bidirectional` became.
Equal layers may be folded: they stand once, as a part with `copies`; `shown` says what stands for a node.

    layers.0 .. layers.3, all equal             -> layers.0-3 (x 4)
    a a a b a a a b                             -> layers.0-7 (x 2) with layers.0-2 (x 3) and layers.3 in it
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from smrdsl.draw.runs import runs
from smrdsl.graph.graph import Graph

BRANCHES = re.compile(r"branch(_\d+)?")
DIRECTION = re.compile(r"(ahead|back)(_\d+)?")


@dataclass(slots=True)
class Part:
    """Nodes and parts in their order. `covers` are the keys of all nodes in it, those of hidden copies too.

    `kind` is that of a `Group`, or `root`, `layers`, `layer`, `run`, `branches`, `branch`, `direction`.
    """

    path: str
    kind: str
    items: list[str | Part] = field(default_factory=list)
    covers: list[str] = field(default_factory=list)
    copies: int = 1
    inside: str = ""
    """What the paths of the things in it begin with."""

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def parts(self) -> list[Part]:
        return [item for item in self.items if isinstance(item, Part)]

    def keys(self) -> Iterator[str]:
        """The nodes that are shown, in their order."""
        for item in self.items:
            if isinstance(item, str):
                yield item
            else:
                yield from item.keys()


@dataclass(slots=True)
class Outline:
    """The tree, and for every node of the graph the one that stands for it."""

    root: Part
    shown: dict[str, str]


def outline(g: Graph, *, fold: bool = False) -> Outline:
    """The parts of a graph, with equal layers folded where asked for."""
    root = _tree(g)
    shown: dict[str, str] = {}
    if fold:
        _fold(g, root, shown)
    return Outline(root, {key: _end(shown, key) for key in g.keys})


def _end(shown: dict[str, str], key: str) -> str:
    """The last of a chain: a copy may stand in a part that is itself a copy."""
    while key in shown:
        key = shown[key]
    return key


# --- the tree


def _tree(g: Graph) -> Part:
    kinds = {group.path: group.kind for key in g.keys for group in g.node(key).groups}
    root = Part("", "root")
    parts: dict[str, Part] = {}
    for key in g.keys:
        around = root
        root.covers.append(key)
        steps = key.split(".")
        for depth in range(1, len(steps)):
            path = ".".join(steps[:depth])
            if path not in parts:
                parts[path] = Part(path, kinds.get(path) or _kind(steps[depth - 1], around), inside=f"{path}.")
                around.items.append(parts[path])
            around = parts[path]
            around.covers.append(key)
        around.items.append(key)
    return root


def _kind(name: str, around: Part) -> str:
    """What a part is that no group tells of."""
    if name.isdigit():
        return "branch" if around.kind == "branches" else "layer"
    if BRANCHES.fullmatch(name):
        return "branches"
    return "direction" if DIRECTION.fullmatch(name) else "layers"


# --- folding


def _fold(g: Graph, part: Part, shown: dict[str, str]) -> None:
    """Let equal layers that follow one another stand as one, everywhere below `part`."""
    layers = [p for p in part.parts if p.kind == "layer"]
    if len(layers) > 1 and len(layers) == len(part.items):
        part.items = _folded(part.path, layers, _classes(g, layers), shown)
    for inner in part.parts:
        _fold(g, inner, shown)


def _folded(path: str, layers: list[Part], classes: list[int], shown: dict[str, str]) -> list[str | Part]:
    items: list[str | Part] = []
    for start, period, count in runs(classes):
        stop = start + period * count
        if count == 1:
            items += layers[start:stop]
            continue
        block = layers[start : start + period]
        for index, copy in enumerate(layers[start + period : stop]):
            _hide(copy, block[index % period], shown)
        name = f"{path}.{layers[start].name}-{layers[stop - 1].name}"
        covers = [key for layer in layers[start:stop] for key in layer.covers]
        if period == 1:
            items.append(Part(name, "run", block[0].items, covers, count, block[0].inside))
        else:
            inner = _folded(path, block, classes[start : start + period], shown)
            items.append(
                Part(
                    name,
                    "run",
                    inner,
                    covers,
                    count,
                    path.rpartition(".")[0] and f"{path.rpartition('.')[0]}.",
                )
            )
    return items


def _hide(copy: Part, original: Part, shown: dict[str, str]) -> None:
    for key in copy.covers:
        shown[key] = original.path + key.removeprefix(copy.path)


def _classes(g: Graph, layers: list[Part]) -> list[int]:
    """A number for each layer, the same for layers that are equal in all but their place."""
    forms = [_form(g, layer, layers[i - 1] if i else None) for i, layer in enumerate(layers)]
    rows, sources = forms[0]
    like_it = next((form for form in forms[1:] if form[0] == rows), None)
    if like_it:  # what enters the first layer takes the part of what the layer before hands to the others
        pairs = zip(sources, like_it[1], strict=True)
        forms[0] = rows, tuple(other if other == "before" else own for own, other in pairs)
    numbers: dict[object, int] = {}
    return [numbers.setdefault(form, len(numbers)) for form in forms]


Form = tuple[tuple[object, ...], tuple[str, ...]]


def _form(g: Graph, layer: Part, before: Part | None) -> Form:
    """What a layer computes, wherever it stands; and what its inputs are: the layer before, or a node."""
    inside, previous = set(layer.covers), set(before.covers if before else ())
    outside: dict[str, int] = {}

    def relative(key: str) -> object:
        return key.removeprefix(layer.path) if key in inside else outside.setdefault(key, len(outside))

    rows = tuple(
        (
            relative(key), n.op.name, repr(n.params), n.type, n.strategy, n.label,
            n.shares and (n.shares.removeprefix(layer.path) if n.shares in inside else n.shares),
            tuple(relative(i) for i in g.inputs(key)),
        )
        for key in layer.covers
        for n in (g.node(key),)
    )  # fmt: skip
    return rows, tuple("before" if key in previous else key for key in outside)
