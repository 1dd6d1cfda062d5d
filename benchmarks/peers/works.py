"""The works that are timed: forward without gradients, or forward with backward to the input and all weights.

The gradient of the output is given: a loss would be several passes over the stream, the same for both sides.
"""

from __future__ import annotations

import torch

from benchmarks.peers.clock import Work
from benchmarks.peers.contract import FORWARD, Pair, Setting, fresh


def work_of(pair: Pair, side: str, setting: Setting, length: int, work: str) -> Work:
    """One run of a side of a pair, on the same input."""
    layer = pair.ours if side == "ours" else pair.theirs
    run = fresh(pair.ours) if side == "ours" else pair.run
    source = torch.Generator().manual_seed(length)
    u, slope = torch.randn(2, setting.batch, length, setting.width, generator=source)
    u.requires_grad_(work != FORWARD)

    def forward() -> None:
        with torch.no_grad():
            run(u)

    def both() -> None:
        layer.zero_grad()
        u.grad = None
        run(u).backward(slope)

    return forward if work == FORWARD else both


def apart(pair: Pair, width: int, length: int) -> float:
    """The largest difference of the outputs, relative to the largest."""
    u = torch.randn(2, length, width, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = pair.run(u)
        return float((pair.ours(u) - wanted).abs().max() / wanted.abs().max())
