"""How arithmetic on streams computes."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.ops.arithmetic import ScaleParams, ShiftParams
from smrdsl.ops.contract import Streams


class Arithmetic(nn.Module):
    """Abstract: the name of the subclass is the operation, any shape goes."""

    def __init__(self, p: Any, inputs: Streams, output: StreamType) -> None:
        super().__init__()


class Add(Arithmetic):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        return program.add(streams[0], streams[1])


class Sub(Arithmetic):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a - b

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        return program.add(streams[0], streams[1], -1.0)


class Mul(Arithmetic):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        return program.gate(streams[0], streams[1])


class Neg(Arithmetic):
    def forward(self, x: Tensor) -> Tensor:
        return -x

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        return program.affine(streams[0], -1.0)


class Scale(nn.Module):
    def __init__(self, p: ScaleParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.value = p.value

    def forward(self, x: Tensor) -> Tensor:
        return x * self.value

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        return program.affine(streams[0], self.value)


class Shift(nn.Module):
    def __init__(self, p: ShiftParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.value = p.value

    def forward(self, x: Tensor) -> Tensor:
        return x + self.value

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        return program.affine(streams[0], None, self.value)
