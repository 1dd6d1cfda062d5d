"""How `affine` computes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.initial import Draw, fill, fill_normal
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.ops.affine import AffineParams
from smrdsl.ops.contract import Streams


class Affine(nn.Module):
    """(..., D) -> (..., D)."""

    def __init__(self, p: AffineParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.start, self.std = p.scale, p.std
        self.scale = nn.Parameter(torch.empty(inputs[0].width))
        self.shift = nn.Parameter(torch.empty(inputs[0].width)) if p.shift else None

    def reset_parameters(self, draw: Draw) -> None:
        fill_normal(self.scale, self.std, draw("scale"))
        fill(self.scale, self.scale + self.start)
        if self.shift is not None:
            fill(self.shift, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale if self.shift is None else torch.addcmul(self.shift, x, self.scale)

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        return program.affine(streams[0], self.scale, self.shift)

    def channel_map(self) -> tuple[Tensor, Tensor | None]:
        return self.scale, self.shift
