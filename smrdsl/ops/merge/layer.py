"""How branches are joined."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.ops.contract import Streams
from smrdsl.ops.merge import BidirectionalParams, ParallelParams


class Merged(nn.Module):
    """Streams (..., D_i) -> (..., D) or, for concat, (..., sum D_i)."""

    def __init__(self, p: ParallelParams | BidirectionalParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.merge = p.merge

    def forward(self, *streams: Tensor) -> Tensor:
        if self.merge == "concat":
            return torch.cat(streams, dim=-1)
        if self.merge == "mul":
            return reduce(torch.mul, streams)
        total = reduce(torch.add, streams)
        return total if self.merge == "add" else total / len(streams)

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        if self.merge == "concat":
            return program.join(streams)
        if self.merge == "mul":
            return reduce(program.gate, streams)
        total = reduce(program.add, streams)
        return total if self.merge == "add" else program.affine(total, 1.0 / len(streams))
