"""pointwise-chains: trees of operations on single numbers run in one pass over their streams, and one pass back.

A tree ends with a node that is read by others or by something else, and holds all that only it reads. What ends with
such operations, behind a product of matrices, may stand at its leaves. What stands between the nodes of a tree is never
written to memory, nor kept for the way back (docs/decisions/0015-pointwise.md has the figures).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smrdsl.graph.graph import Graph
from smrdsl.passes.contract import Pass, kernels_fit
from smrdsl.passes.fuse import free, fuse, only_reader
from smrdsl.plan.plan import Conditions

LAYER = "smrdsl.passes.pointwise_chains.layer:Chain"


@dataclass(frozen=True, slots=True)
class PointwiseChains(Pass):
    name: ClassVar[str] = "pointwise-chains"
    law: ClassVar[str] = "g(f(x), y) is one function of the numbers x and y; float32: to rounding"

    def fits(self, conditions: Conditions) -> bool:
        return kernels_fit(conditions)

    def run(self, g: Graph) -> Graph:
        roots = [key for key in g.keys if kind(g, key) and not _goes_on(g, key)]
        trees = [set(_tree(g, root)) for root in roots]
        worth = [t for t in trees if len(t) > 1 or any(kind(g, key) != "one" for key in t)]
        return fuse(g, self.name, LAYER, [[key for key in g.keys if key in tree] for tree in worth])


def kind(g: Graph, key: str) -> str:
    """What its operator says of it, nothing of a node that cannot be fused."""
    node = g.node(key)
    return node.op.pointwise(node.params) if free(g, key) else ""


def _goes_on(g: Graph, key: str) -> bool:
    """Whether a node belongs to the tree of its reader, which can take numbers before they are made."""
    reader = only_reader(g, key)
    return reader is not None and kind(g, reader) in ("one", "some")


def _tree(g: Graph, key: str) -> list[str]:
    """A node and, before it, what belongs to its tree."""
    if kind(g, key) == "end":
        return [key]
    inner = [source for source in dict.fromkeys(g.inputs(key)) if kind(g, source) and _goes_on(g, source)]
    return [*(k for source in inner for k in _tree(g, source)), key]
