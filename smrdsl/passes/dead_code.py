"""dead-code: what no output needs is dropped, unless it learns, for then its weights are part of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smrdsl.graph.graph import Graph
from smrdsl.passes.contract import Pass


@dataclass(frozen=True, slots=True)
class DeadCode(Pass):
    name: ClassVar[str] = "dead-code"
    law: ClassVar[str] = "the output is the same function of the input and of the same weights"

    def run(self, g: Graph) -> Graph:
        needed = {g.output, g.input}
        for key in reversed(g.keys):
            node = g.node(key)
            if key in needed or g.parameters(key):
                needed.update((key, *g.inputs(key)))
                needed |= {node.shares} if node.shares else set()
        return g if len(needed) == len(g) else g.rebuild(e for e in g if e[0] in needed)
