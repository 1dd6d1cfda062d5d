"""How `dropout` computes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.ops.contract import Streams
from smrdsl.ops.dropout import DropoutParams


class Dropout(nn.Module):
    """(B, L, D) -> (B, L, D), or any shape where the mask is not tied."""

    def __init__(self, p: DropoutParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.p = p.p
        self.tied = p.tied

    def forward(self, x: Tensor) -> Tensor:
        if not self.tied or x.dim() < 3 or not self.training:
            return F.dropout(x, self.p, self.training)
        mask = x.new_ones(x.shape[0], 1, x.shape[2])
        return x * F.dropout(mask, self.p)

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream | None:
        return None if self.training and self.p else streams[0]
