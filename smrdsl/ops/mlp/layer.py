"""How `mlp` computes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.initial import Draw, fill_linear
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.ops.contract import Streams
from smrdsl.ops.mlp import MlpParams, hidden_width, inside
from smrdsl.ops.pointwise.layer import function_of, make_activation, reset_activation


class Mlp(nn.Module):
    """(..., D) -> (..., D)."""

    def __init__(self, p: MlpParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        width, hidden = inputs[0].width, hidden_width(p, inputs[0].width)

        def weight(rows: int, columns: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(rows, columns))

        def bias(size: int) -> nn.Parameter | None:
            return nn.Parameter(torch.empty(size)) if p.bias else None

        self.W1, self.b1 = weight(hidden, width), bias(hidden)
        self.V, self.c = (weight(hidden, width), bias(hidden)) if p.gated else (None, None)
        self.W2, self.b2 = weight(width, hidden), bias(width)
        self.act = make_activation(p.act, inside(p, inputs[0]))
        self.dropout = p.dropout

    def reset_parameters(self, draw: Draw) -> None:
        fill_linear(self.W1, self.b1, draw, ("W1", "b1"))
        fill_linear(self.W2, self.b2, draw, ("W2", "b2"))
        if self.V is not None:
            fill_linear(self.V, self.c, draw, ("V", "c"))
        reset_activation(self.act, draw)

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(F.linear(x, self.W1, self.b1))
        if self.V is not None:
            h = h * F.linear(x, self.V, self.c)
        return F.linear(F.dropout(h, self.dropout, self.training), self.W2, self.b2)

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream | None:
        function = function_of(self.act)
        if function is None or (self.training and self.dropout):
            return None
        x, h = streams[0], program.linear(streams[0], self.W1, self.b1)
        h = program.map(h, function) if self.V is None else program.gate(program.linear(x, self.V, self.c), h, function)
        return program.linear(h, self.W2, self.b2)
