"""How `linear` computes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.initial import Draw, fill_linear, fill_uniform
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.ops.contract import Streams
from smrdsl.ops.linear import LinearParams


class Linear(nn.Module):
    """(..., D) -> (..., width)."""

    def __init__(self, p: LinearParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        fan_in = inputs[0].width
        self.bound = fan_in**-0.5
        self.weight = None if p.tie else nn.Parameter(torch.empty(p.width, fan_in))
        self.bias = nn.Parameter(torch.empty(p.width)) if p.bias else None

    def reset_parameters(self, draw: Draw) -> None:
        if self.weight is not None:
            fill_linear(self.weight, self.bias, draw, ("weight", "bias"))
        elif self.bias is not None:
            fill_uniform(self.bias, self.bound, draw("bias"))

    def forward(self, x: Tensor, tied: Tensor | None = None) -> Tensor:
        """`tied` is the shared weight (width, D) where the step has none of its own."""
        weight = self.weight if tied is None else tied
        assert weight is not None, "a tied linear needs the weight it shares"
        return F.linear(x, weight, self.bias)

    def write_step(
        self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...], *tied: Tensor
    ) -> Stream:
        weight = tied[0] if tied else self.weight
        assert weight is not None, "a tied linear needs the weight it shares"
        return program.linear(streams[0], weight, self.bias)

    def channel_map(self) -> tuple[Tensor, Tensor | None] | None:
        return None if self.weight is None else (self.weight, self.bias)
