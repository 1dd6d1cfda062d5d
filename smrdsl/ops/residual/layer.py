"""How `residual` computes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.ops.contract import Streams
from smrdsl.ops.residual import ResidualParams


class Residual(nn.Module):
    def __init__(self, p: ResidualParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.scale = p.scale

    def forward(self, x: Tensor, f: Tensor) -> Tensor:
        return torch.add(x, f, alpha=self.scale)

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        return program.add(streams[0], streams[1], self.scale)
