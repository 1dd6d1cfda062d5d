"""merge-systems: steady cores of one stream whose outputs are only added run as one core with the states of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smrdsl.graph.graph import Graph
from smrdsl.passes.contract import Pass
from smrdsl.passes.fuse import free, fuse, only_reader

LAYER = "smrdsl.passes.merge_systems.layer:Merged"


@dataclass(frozen=True, slots=True)
class MergeSystems(Pass):
    name: ClassVar[str] = "merge-systems"
    law: ClassVar[str] = "k * x + l * x = (k + l) * x"

    def run(self, g: Graph) -> Graph:
        groups: list[list[str]] = []
        inner: set[str] = set()
        for key in reversed(g.keys):
            if key in inner or not _adds(g, key):
                continue
            cores, sums = _terms(g, key)
            inner.update(sums)
            if len(cores) > 1 and _alike(g, cores):
                inside = {*cores, *sums}
                groups.append([k for k in g.keys if k in inside])
        return fuse(g, self.name, LAYER, groups)


def _adds(g: Graph, key: str) -> bool:
    node = g.node(key)
    return node.op.adds(node.params) and free(g, key)


def _terms(g: Graph, key: str) -> tuple[list[str], list[str]]:
    """What a sum adds, through the sums that only it reads; and those sums, with itself."""
    terms, sums = [], [key]
    for source in g.inputs(key):
        if _adds(g, source) and only_reader(g, source) == key:
            more, others = _terms(g, source)
            terms, sums = terms + more, sums + others
        else:
            terms.append(source)
    return terms, sums


def _alike(g: Graph, cores: list[str]) -> bool:
    """Whether all are cores of one stream and way that nothing else reads."""
    nodes = [g.node(key) for key in cores]
    steady = all(n.op.steady_bank(n.params) and free(g, k) for k, n in zip(cores, nodes, strict=True))
    alone = all(only_reader(g, key) is not None for key in cores)
    return steady and alone and len({(g.inputs(k), n.strategy) for k, n in zip(cores, nodes, strict=True)}) == 1
