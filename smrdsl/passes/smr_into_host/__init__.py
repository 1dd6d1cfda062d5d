"""smr-into-host: an SMR in front of a core that runs natively is worked out inside of the core's kernel.

So is its control, a short convolution. What stands between the two is then never written to memory, nor kept for the
way back (docs/decisions/0012-smr-fused.md has the figures). Both are found by what their operators say of themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smrdsl.graph.graph import Graph
from smrdsl.passes.contract import Pass, kernels_fit
from smrdsl.passes.fuse import free, fuse, only_reader
from smrdsl.plan.plan import Conditions

NATIVE = "recurrent"
"""The strategy of cores that has a native kernel."""


@dataclass(frozen=True, slots=True)
class SmrIntoHost(Pass):
    name: ClassVar[str] = "smr-into-host"
    law: ClassVar[str] = "core(smr(x)) is one function of x; float32: to the last bit forward, to rounding backward"

    def fits(self, conditions: Conditions) -> bool:
        return kernels_fit(conditions)

    def run(self, g: Graph) -> Graph:
        if g.timed:  # a core that is told gaps has no native kernel
            return g
        pairs = [(key, host) for key in g.keys if (host := _host(g, key))]
        return fuse(g, self.name, "smrdsl.passes.smr_into_host.layer:SmrIntoHost", pairs)


def _host(g: Graph, key: str) -> str | None:
    """The core behind a short filter at a key, None where there is none."""
    node, host = g.node(key), only_reader(g, key)
    if host is None or not node.op.short_filter(node.params) or not (free(g, key) and free(g, host)):
        return None
    core = g.node(host)
    return host if core.op.steady_bank(core.params) and core.strategy == NATIVE else None
