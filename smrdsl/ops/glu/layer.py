"""How `glu` computes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.initial import Draw, fill_linear
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.ops.contract import Streams
from smrdsl.ops.glu import GluParams
from smrdsl.ops.pointwise.layer import function_of, make_activation, reset_activation


class Glu(nn.Module):
    """(..., D) -> (..., D)."""

    def __init__(self, p: GluParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        width = inputs[0].width
        self.weight = nn.Parameter(torch.empty(2 * width, width))
        self.bias = nn.Parameter(torch.empty(2 * width)) if p.bias else None
        self.act = make_activation(p.act, inputs[0])

    def reset_parameters(self, draw: Draw) -> None:
        fill_linear(self.weight, self.bias, draw, ("weight", "bias"))
        reset_activation(self.act, draw)

    def forward(self, x: Tensor) -> Tensor:
        a, g = F.linear(x, self.weight, self.bias).chunk(2, dim=-1)
        return a * self.act(g)

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream | None:
        function, width = function_of(self.act), streams[0].width
        if function is None:
            return None
        a, g = program.linear(streams[0], self.weight, self.bias).split(width, width)
        return program.gate(a, g, function)
