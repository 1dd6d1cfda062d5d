"""both-directions: a core between two reversals of time runs backwards instead, and shares transforms with one ahead.

What works position by position between the core and the second reversal runs in the order of time then. Where another
core reads the same stream, and both are convolutions, the stream is transformed once for both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from smrdsl.graph.graph import Entry, Fusion, Graph, Held
from smrdsl.passes.contract import Pass
from smrdsl.passes.fuse import free, held, only_reader, replaced, several

LAYERS = "smrdsl.passes.both_directions.layer"


@dataclass(frozen=True, slots=True)
class Turned:
    """A core that runs backwards: the reversals around it, and what reads it before the second."""

    first: str
    core: str
    between: tuple[str, ...]
    second: str


@dataclass(frozen=True, slots=True)
class BothDirections(Pass):
    name: ClassVar[str] = "both-directions"
    law: ClassVar[str] = "flip(p(core(flip(x)))) = p(core backwards(x)), p position by position"

    def run(self, g: Graph) -> Graph:
        if g.timed:  # a core is told the gaps of the order that it runs in
            return g
        instead: dict[str, list[Entry]] = {}
        turned = [t for key in g.keys if (t := _turned(g, key))]
        taken: set[str] = set()
        for t in turned:
            instead |= _run_backwards(g, t, taken)
        return _without(replaced(g, instead), turned) if turned else g


def _turned(g: Graph, key: str) -> Turned | None:
    """The core at a key with the reversals around it, None where it has none."""
    if not _steady(g, key):
        return None
    first = g.inputs(key)[0]
    if not g.node(first).op.reverses or only_reader(g, first) != key:
        return None
    between: list[str] = []
    after = only_reader(g, key)
    while after is not None and _by_position(g, after):
        between.append(after)
        after = only_reader(g, after)
    if after is None or not g.node(after).op.reverses:
        return None
    return Turned(first, key, tuple(between), after)


def _steady(g: Graph, key: str) -> bool:
    node = g.node(key)
    return node.op.steady_bank(node.params) and free(g, key)


def _by_position(g: Graph, key: str) -> bool:
    """What keeps no state and does not look ahead sees one position at a time, of one stream."""
    node = g.node(key)
    causal = not node.op.looks_ahead(node.params) and not node.uses_lengths and not g.kept(key)
    return causal and len(g.inputs(key)) == 1 and node.fusion is None


def _run_backwards(g: Graph, t: Turned, taken: set[str]) -> dict[str, list[Entry]]:
    """What stands in place of a turned core, and of the one ahead where there is one."""
    source = g.inputs(t.first)[0]
    parts = (held(g, t.first), held(g, t.core), Held(t.second, g.node(t.second), (t.core,)))
    ahead = next((k for k in g.readers(source) if k != t.core and _shares(g, k, t.core) and k not in taken), None)
    if ahead is None:
        fusion = Fusion(BothDirections.name, f"{LAYERS}:Backwards", parts, (source,))
        return {t.core: [(t.core, replace(g.node(t.core), fusion=fusion), (source,))]}
    taken.add(ahead)
    holds = (held(g, ahead), *parts)
    return several(g, BothDirections.name, f"{LAYERS}:Both", holds, source, {ahead: ahead, t.core: t.second})


def _shares(g: Graph, key: str, core: str) -> bool:
    """Whether a core ahead can share a transform with one that runs backwards."""
    return _steady(g, key) and g.node(key).strategy == g.node(core).strategy == "conv"


def _without(g: Graph, turned: list[Turned]) -> Graph:
    """The graph without the reversals: what read the second reads what it read."""
    before = {t.second: t.between[-1] if t.between else t.core for t in turned}
    gone = {t.first for t in turned} | set(before)
    entries = ((k, n, tuple(before.get(i, i) for i in inputs)) for k, n, inputs in g if k not in gone)
    return g.rebuild(entries, before.get(g.output, g.output))
