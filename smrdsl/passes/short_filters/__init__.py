"""short-filters: a short convolution or an SMR, the activation behind it and a second such filter run in one pass.

Mamba has a convolution and a SiLU in front of its core, and its SMR stands behind them: three passes over a stream
become one, and the way back makes again what stood between (docs/decisions/0012-smr-fused.md has the figures).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smrdsl.graph.graph import Graph
from smrdsl.passes.contract import Pass, kernels_fit
from smrdsl.passes.fuse import free, fuse, only_reader
from smrdsl.plan.plan import Conditions


@dataclass(frozen=True, slots=True)
class ShortFilters(Pass):
    name: ClassVar[str] = "short-filters"
    law: ClassVar[str] = "smr(act(conv(x))) is one function of x; float32: to rounding"

    def fits(self, conditions: Conditions) -> bool:
        return kernels_fit(conditions)

    def run(self, g: Graph) -> Graph:
        taken: set[str] = set()
        groups: list[tuple[str, ...]] = []
        for key in g.keys:
            group = _group(g, key) if key not in taken else ()
            if len(group) > 1:
                groups.append(group)
                taken.update(group)
        return fuse(g, self.name, "smrdsl.passes.short_filters.layer:ShortFilters", groups)


def _group(g: Graph, key: str) -> tuple[str, ...]:
    """The filter at a key with an activation behind it, if it has no gate, and another filter behind that."""
    kind = _filter(g, key)
    if not kind:
        return ()
    group, after = [key], only_reader(g, key)
    if after and kind == "plain" and _act(g, after):
        group.append(after)
        after = only_reader(g, after)
    if after and _filter(g, after):
        group.append(after)
    return tuple(group)


def _filter(g: Graph, key: str) -> str:
    node = g.node(key)
    return node.op.short_filter(node.params) if free(g, key) else ""


def _act(g: Graph, key: str) -> bool:
    node = g.node(key)
    return free(g, key) and bool(node.op.ends_filter(node.params))
