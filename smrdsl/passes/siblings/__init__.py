"""siblings: dense maps of one stream become one product of matrices, on a device where calls are what takes time.

On a CPU there is nothing to gain: torch's product takes as long for the parts as for the whole, and cutting its result
costs a copy (docs/decisions/0016-fusing-passes.md has the figures). So it runs elsewhere only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smrdsl.graph.graph import Entry, Graph
from smrdsl.passes.contract import Pass
from smrdsl.passes.fuse import free, held, replaced, several
from smrdsl.plan.plan import Conditions

LAYER = "smrdsl.passes.siblings.layer:Siblings"


@dataclass(frozen=True, slots=True)
class Siblings(Pass):
    name: ClassVar[str] = "siblings"
    law: ClassVar[str] = "[V x + a, W x + b] = [V, W] x + [a, b]"

    def fits(self, conditions: Conditions) -> bool:
        return conditions.device != "cpu"

    def run(self, g: Graph) -> Graph:
        instead: dict[str, list[Entry]] = {}
        for key in g.keys:
            family = [r for r in g.readers(key) if _dense(g, r)]
            if len(family) > 1:
                holds = [held(g, k) for k in g.keys if k in family]
                instead |= several(g, self.name, LAYER, holds, key, {h.key: h.key for h in holds})
        return replaced(g, instead) if instead else g


def _dense(g: Graph, key: str) -> bool:
    node = g.node(key)
    return node.op.channel_map(node.params) == "dense" and free(g, key)
