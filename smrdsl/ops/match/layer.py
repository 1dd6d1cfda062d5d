"""How `match` computes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Streams
from smrdsl.ops.match import MatchParams


class Match(nn.Module):
    """(2B, D) -> (B, 4 D); rows 2i and 2i + 1 are a pair."""

    def __init__(self, p: MatchParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.reshape(x.shape[0] // 2, 2, x.shape[1]).unbind(1)
        return torch.cat((a, b, a - b, a * b), dim=-1)
