"""How `flip` computes."""

from __future__ import annotations

from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.lengths import reverse, turned
from smrdsl.ops.contract import Streams
from smrdsl.ops.flip import FlipParams


class Flip(nn.Module):
    """(B, L, D) -> (B, L, D)."""

    def __init__(self, p: FlipParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()

    def forward(self, x: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        return x.flip(1) if lengths is None else reverse(x, lengths)

    def clock(self, dt: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """The gaps (B, L) before the samples of the reversed sequence."""
        return turned(dt, lengths)
