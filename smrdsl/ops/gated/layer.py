"""How `gated` computes."""

from __future__ import annotations

from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.initial import Draw
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.ops.contract import Streams
from smrdsl.ops.gated import GatedParams
from smrdsl.ops.pointwise.layer import function_of, make_activation, reset_activation


class Gated(nn.Module):
    def __init__(self, p: GatedParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.act = make_activation(p.act, inputs[1])

    def reset_parameters(self, draw: Draw) -> None:
        reset_activation(self.act, draw)

    def forward(self, x: Tensor, f: Tensor) -> Tensor:
        return x * self.act(f)

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream | None:
        function = function_of(self.act)
        return None if function is None else program.gate(streams[0], streams[1], function)
