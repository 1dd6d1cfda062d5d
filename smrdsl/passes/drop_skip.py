"""drop-skip: readers of what changes nothing, `skip` or `dropout(0)`, read what it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smrdsl.graph.graph import Entry, Graph
from smrdsl.passes.contract import Pass


@dataclass(frozen=True, slots=True)
class DropSkip(Pass):
    name: ClassVar[str] = "drop-skip"
    law: ClassVar[str] = "skip(x) = x"

    def run(self, g: Graph) -> Graph:
        instead: dict[str, str] = {}
        kept: list[Entry] = []
        for key, node, inputs in g:
            inputs = tuple(instead.get(i, i) for i in inputs)
            if node.op.identity(node.params):
                instead[key] = inputs[0]
            else:
                kept.append((key, node, inputs))
        return g if not instead else g.rebuild(kept, instead.get(g.output, g.output))
