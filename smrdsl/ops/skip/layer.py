"""How `skip` computes."""

from __future__ import annotations

from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.ops.contract import Streams
from smrdsl.ops.skip import SkipParams


class Skip(nn.Module):
    def __init__(self, p: SkipParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        return streams[0]
