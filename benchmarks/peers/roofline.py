"""Roofline: what this machine can do, measured, and the time in which it could at best do the work of a layer.

The work is what operators declare: flops, and bytes of what they read and write, with the exponentials that their
equations need. A node takes as long as its arithmetic or its traffic, whichever is longer; a layer as long as its nodes
one after the other. What is fused may beat that. Backward is twice the work of forward, its exponentials kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

import smrdsl
from benchmarks.peers.clock import Work, once
from benchmarks.peers.contract import TRAINING

FLOAT = 4
RUNS = 25
FEW = 1 << 18
"""Numbers that stay in the cache, for what is bound by arithmetic."""
EXPONENTIALS: dict[str, Callable[[Any], int]] = {
    "s6": lambda p: p.state + 1,  # of Delta A, and of softplus
    **dict.fromkeys(("gelu", "silu", "glu", "smr"), lambda p: 1),
}
"""Operator -> exponentials for one number of its output."""


@dataclass(frozen=True)
class Machine:
    """Rates of one thread: of a product of matrices, a copy, real transforms (points) and real exponentials."""

    gflops: float
    copy_gb: float
    rfft_gpoints: float
    gexp: float

    def as_dict(self) -> dict[str, float]:
        return {name: round(value, 3) for name, value in asdict(self).items()}


def fastest(work: Work) -> float:
    """Seconds: a limit is what was reached once."""
    return min(once(work, 1)[1] for _ in range(RUNS)) / 1000


def measure(batch: int, width: int, length: int = 4096) -> Machine:
    """The rates of this machine, on streams of the size that layers see."""
    a = torch.randn(1024, 1024)
    u, v = torch.randn(2, batch, length, width)
    x, z = torch.randn(FEW), torch.randn(FEW // (2 * length), 2 * length)
    return Machine(
        gflops=2 * 1024**3 / fastest(lambda: a @ a) / 1e9,
        copy_gb=2 * FLOAT * u.numel() / fastest(lambda: v.copy_(u)) / 1e9,
        rfft_gpoints=z.numel() / fastest(lambda: torch.fft.rfft(z)) / 1e9,
        gexp=FEW / fastest(lambda: torch.exp(x, out=torch.empty_like(x))) / 1e9,
    )


def limit(machine: Machine, layer: smrdsl.CompiledModel, batch: int, length: int, work: str) -> float:
    """Milliseconds in which one thread of the machine could at best run a layer as it is planned."""
    total = sum(node_limit(machine, layer, key, batch, length, work) for key in layer.graph.keys)
    return 1000 * total


def node_limit(machine: Machine, layer: smrdsl.CompiledModel, key: str, batch: int, length: int, work: str) -> float:
    """Seconds of one node."""
    g, times = layer.graph, 3 if work == TRAINING else 1
    node, inputs = g.node(key), g.input_types(key)
    if not inputs:
        return 0.0
    strategy = layer.plan.strategies.get(key, "")
    streams = sum(i.width for i in (*inputs, node.type)) * batch * length
    weights = sum(p.size for p in g.parameters(key).values())
    traffic = FLOAT * (streams + weights) / machine.copy_gb
    if strategy == "conv":  # the transforms of all inputs, of the kernel, and back
        arithmetic = 2 * length * node.type.width * (2 * batch + 1) / machine.rfft_gpoints
    else:
        flops = node.op.cost(node.params, *g.seen_types(key), length, strategy).flops
        arithmetic = batch * flops / machine.gflops
    exponentials = EXPONENTIALS.get(node.op.name, lambda p: 0)(node.params) * batch * length * node.type.width
    return max(times * arithmetic + exponentials / machine.gexp, times * traffic) / 1e9
