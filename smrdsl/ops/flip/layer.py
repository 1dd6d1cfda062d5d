"""How `flip` computes."""

from __future__ import annotations

from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Streams
from smrdsl.ops.flip import FlipParams


class Flip(nn.Module):
    """(B, L, D) -> (B, L, D)."""

    def __init__(self, p: FlipParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x.flip(1)
