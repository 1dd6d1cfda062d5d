"""fold-maps: linear maps of the channels one behind the other become one, in inference.

Batch norms by their running statistics, learned scales and dense maps all are such maps; a norm of each position is
none. Two dense maps are folded only where one is less work than both: a narrow one between two wide ones stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smrdsl.graph.graph import Graph
from smrdsl.passes.contract import Pass
from smrdsl.passes.fuse import free, fuse, only_reader
from smrdsl.plan.plan import Conditions


@dataclass(frozen=True, slots=True)
class FoldMaps(Pass):
    name: ClassVar[str] = "fold-maps"
    law: ClassVar[str] = "W (V x + a) + b = (W V) x + (W a + b)"

    def fits(self, conditions: Conditions) -> bool:
        return conditions.mode != "train"

    def run(self, g: Graph) -> Graph:
        seen: set[str] = set()
        groups: list[list[str]] = []
        for key in g.keys:
            if key not in seen and foldable(g, key):
                group = _chain_from(g, key)
                seen.update(group)
                groups += [group] * (len(group) > 1)
        return fuse(g, self.name, "smrdsl.passes.fold_maps.layer:Folded", groups)


def foldable(g: Graph, key: str) -> bool:
    node = g.node(key)
    return bool(node.op.channel_map(node.params)) and free(g, key)


def _chain_from(g: Graph, key: str) -> list[str]:
    """The maps from this one on that are less work as one."""
    chain, dense = [key], _dense(g, key)
    start = g.input_types(key)[0].width
    while (after := only_reader(g, chain[-1])) is not None and foldable(g, after):
        between, end = (g.node(k).type.width for k in (chain[-1], after))
        if dense and _dense(g, after) and start * end > start * between + between * end:
            break
        chain.append(after)
        dense = dense or _dense(g, after)
    return chain


def _dense(g: Graph, key: str) -> bool:
    node = g.node(key)
    return node.op.channel_map(node.params) == "dense"
