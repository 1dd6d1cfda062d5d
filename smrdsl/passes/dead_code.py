"""dead-code: what no output needs is dropped, unless it learns, for then its weights are part of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import networkx as nx

from smrdsl.graph.graph import Graph
from smrdsl.passes.contract import Pass


@dataclass(frozen=True, slots=True)
class DeadCode(Pass):
    name: ClassVar[str] = "dead-code"
    law: ClassVar[str] = "the output is the same function of the input and of the same weights"

    def run(self, g: Graph) -> Graph:
        kept = {g.output, g.input} | {k for k in g.keys if g.parameters(k)}
        kept |= {n.shares for k in kept if (n := g.node(k)).shares}
        needed = kept.union(*(nx.ancestors(g.nx, k) for k in kept - {g.input}))
        return g.rebuild(e for e in g if e[0] in needed)
