"""How `gated` computes."""

from __future__ import annotations

from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.initial import Draw
from smrdsl.ops.contract import Streams
from smrdsl.ops.gated import GatedParams
from smrdsl.ops.pointwise.layer import make_activation, reset_activation


class Gated(nn.Module):
    def __init__(self, p: GatedParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.act = make_activation(p.act, inputs[1])

    def reset_parameters(self, draw: Draw) -> None:
        reset_activation(self.act, draw)

    def forward(self, x: Tensor, f: Tensor) -> Tensor:
        return x * self.act(f)
