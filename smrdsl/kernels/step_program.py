"""A step of a model as a program: instructions over buffers that lie ready, run by one native call for all of them.

A layer writes its part in `write_step(program, streams, state, *tied)`: it is given `Stream`s and, for each tensor of
its state, a `Slot`, in which it chooses how that is kept; it calls methods of the program, gives the stream that it
leaves, and None, before it has written anything, where it has no native step. What it hands over of its weights is
copied: a program knows the numbers of the time at which it was written.

Buffers are given out when all instructions are known, so that one that nobody reads any more is used again: what a
step touches stays in the cache. The instructions themselves are in `native/step.h`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from ctypes import addressof, c_int64
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from smrdsl.kernels.native_calls import LIBRARY, missing
from smrdsl.kernels.step_layout import BLOCK, in_blocks, in_panels, rounded

OPS = (
    "linear", "map", "gate", "sum", "affine", "norm", "copy", "gather", "count",
    "system", "modes", "selective", "heads", "taps", "shift", "pool",
)  # fmt: skip
"""In the order of the enumeration in step.cpp."""
FUNCTIONS = (
    "identity", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "relu", "relu2", "softplus", "laplace", "sigmoid2",
    "tanh1",
)  # fmt: skip
"""In the order of step_streams.h."""
WORDS = 24
"""Of an instruction, as in step.h."""
WORTH_A_THREAD = 1 << 22
"""Products of a step, of all sequences together, from which on a second thread pays."""
RUN: Callable[..., int] = missing if LIBRARY is None else LIBRARY.kernel("step_run", [c_int64] * 4)


class Refused(Exception):
    """A sample that does not fit, in the words of the layer that wrote the instruction. Nothing was changed."""

    def __init__(self, reason: str, instruction: int) -> None:
        super().__init__(reason)
        self.instruction = instruction


@dataclass(eq=False)
class Buffer:
    """Rows of `width` numbers, `pitch` apart. One that `stays` is not used for anything else."""

    width: int
    pitch: int
    tensor: Tensor | None = None
    stays: bool = False

    @classmethod
    def of(cls, tensor: Tensor) -> Buffer:
        """One that is there already, (B, width)."""
        return cls(tensor.shape[1], tensor.shape[1], tensor, True)


@dataclass(frozen=True)
class Stream:
    """Rows of `width` numbers, one for each sequence: a part of a buffer. Whole numbers come one by one, (B, 1)."""

    buffer: Buffer
    first: int
    width: int

    def part(self, first: int, width: int) -> Stream:
        assert 0 <= first <= first + width <= self.width, "a part lies inside"
        return Stream(self.buffer, self.first + first, width)

    def split(self, *widths: int) -> list[Stream]:
        ends = [sum(widths[: i + 1]) for i in range(len(widths))]
        return [self.part(end - width, width) for end, width in zip(ends, widths, strict=True)]

    def view(self) -> Tensor:
        """The rows, once the program is finished."""
        assert self.buffer.tensor is not None, "the program is not finished"
        return self.buffer.tensor[:, self.first : self.first + self.width]


@dataclass(eq=False)
class Slot:
    """One tensor of a state, (B, *shape) outside, and how the program keeps it: the way that its layer asks for."""

    batch: int
    shape: tuple[int, ...]
    index: bool = False
    kept: Tensor | None = None
    blocked: bool = False

    def rows(self) -> Stream:
        """All numbers of a sequence as a row."""
        rows = self.plain().view(self.batch, -1)
        return Stream(Buffer.of(rows), 0, rows.shape[1])

    def plain(self) -> Tensor:
        """As it is outside."""
        self.kept = torch.zeros(self.batch, *self.shape, dtype=torch.int64 if self.index else torch.float32)
        return self.kept

    def blocks(self) -> Tensor:
        """(B, ..., channels, N) as (B, ..., blocks, N, BLOCK)."""
        self.blocked = True
        self.kept = in_blocks(torch.zeros(self.batch, *self.shape)).contiguous()
        return self.kept

    def put(self, value: Tensor) -> None:
        assert self.kept is not None, "a layer leaves no state out"
        self.kept.copy_(in_blocks(value) if self.blocked else value)

    def get(self) -> Tensor:
        """A copy, as it is outside."""
        assert self.kept is not None, "a layer leaves no state out"
        if not self.blocked:
            return self.kept.clone()
        return self.kept.mT.flatten(-3, -2)[..., : self.shape[-2], :].clone(memory_format=torch.contiguous_format)


@dataclass(eq=False)
class StepProgram:
    """Instructions for a batch of one size, at least 1. Streams and parameters are float32."""

    batch: int
    instructions: list[tuple[Any, ...]] = field(default_factory=list)
    refusals: dict[int, str] = field(default_factory=dict)
    work: int = 0
    """Products for one sequence, about."""

    # --- what layers write

    def stream(self, width: int) -> Stream:
        return Stream(Buffer(width, rounded(width, BLOCK)), 0, width)

    def keep(self, parameter: Tensor | None) -> Tensor | None:
        """The numbers of a parameter as they are now."""
        if parameter is None:
            return None
        return parameter.detach().to(torch.float32).clone(memory_format=torch.contiguous_format)

    def write(self, op: str, *operands: Any, work: int = 0) -> None:
        """An instruction: operands in the order of its struct."""
        self.instructions.append((OPS.index(op), *operands))
        self.work += work

    def linear(self, x: Stream, weight: Tensor, bias: Tensor | None = None, onto: Stream | None = None) -> Stream:
        """weight (width, D) times x and the bias, added to the stream `onto` if there is one."""
        outputs, inputs = weight.shape
        assert inputs == x.width, "a matrix fits its input"
        y = onto or self.stream(outputs)
        packed, bias = self.keep(in_panels(weight)), self.keep(bias)
        self.write("linear", y, x, packed, bias, inputs, outputs, int(onto is not None), work=weight.numel())
        return y

    def map(self, x: Stream, function: str) -> Stream:
        """function(x)"""
        y = self.stream(x.width)
        self.write("map", y, x, x.width, FUNCTIONS.index(function), work=8 * x.width)
        return y

    def gate(self, x: Stream, z: Stream, function: str = "identity") -> Stream:
        """x function(z)"""
        y = self.stream(x.width)
        self.write("gate", y, x, z, x.width, FUNCTIONS.index(function), work=8 * x.width)
        return y

    def add(self, x: Stream, z: Stream, scale: float = 1.0) -> Stream:
        """x + scale z"""
        y = self.stream(x.width)
        self.write("sum", y, x, z, x.width, float(scale), work=x.width)
        return y

    def affine(self, x: Stream, scale: Tensor | float | None, shift: Tensor | float | None = None) -> Stream:
        """scale x + shift, numbers or one for each channel."""
        w, b = (None if p is None else torch.as_tensor(p).float().expand(x.width) for p in (scale, shift))
        y = self.stream(x.width)
        self.write("affine", y, x, self.keep(w), self.keep(b), x.width, work=x.width)
        return y

    def norm(
        self, x: Stream, weight: Tensor | None, bias: Tensor | None, eps: float, *, centred: bool, groups: int = 1
    ) -> Stream:
        """Each of the groups of channels over its root mean square, `centred`: without its mean."""
        y = self.stream(x.width)
        w, b = self.keep(weight), self.keep(bias)
        self.write("norm", y, x, w, b, x.width, groups, int(centred), float(eps), work=4 * x.width)
        return y

    def join(self, streams: Sequence[Stream]) -> Stream:
        """The channels of all, one stream behind the other."""
        y = self.stream(sum(x.width for x in streams))
        for part, x in zip(y.split(*(x.width for x in streams)), streams, strict=True):
            self.copy(x, part)
        return y

    def copy(self, x: Stream, to: Stream) -> None:
        self.write("copy", to, x, x.width, work=x.width)

    def gather(self, index: Stream, table: Tensor, refusal: str) -> Stream:
        """The rows of a table (count, width) that whole numbers name; `refusal` is for one that is none."""
        (count, width), y = table.shape, self.stream(table.shape[1])
        self.refusals[len(self.instructions)] = refusal
        self.write("gather", y, index, self.keep(table), width, count, work=width)
        return y

    def accumulate(self, x: Stream, value: Stream) -> Stream:
        """value += x"""
        self.write("sum", value, value, x, x.width, 1.0, work=x.width)
        return value

    def pool(self, x: Stream, value: Stream, count: Tensor, *, largest: bool) -> Stream:
        """The largest of all x, or their mean; value is the largest or the sum, count (B) how many there were."""
        y = self.stream(x.width)
        self.write("pool", y, x, value, count, x.width, int(largest), work=x.width)
        return y

    # --- how it runs

    def finish(self) -> None:
        """Give out buffers, and write all down as the kernel reads it."""
        self._give_out()
        words = [word for instruction in self.instructions for word in self._encode(instruction)]
        self._code = (c_int64 * len(words))(*words)
        self._address = addressof(self._code)

    def places(self, buffer: Buffer) -> list[tuple[int, int]]:
        """Where the address of a buffer is written down, and how many bytes behind its beginning."""
        found = []
        for i, instruction in enumerate(self.instructions):
            at = i * WORDS
            for x in instruction:
                if isinstance(x, Stream) and x.buffer is buffer:
                    found.append((at, 4 * x.first))
                at += 2 if isinstance(x, Stream) else 1
        return found

    def point(self, places: list[tuple[int, int]], address: int) -> None:
        """Let a buffer be at another address from now on, compact rows of its pitch."""
        for at, offset in places:
            self._code[at] = address + offset

    def run(self, first: int, last: int, threads: int = 1) -> None:
        """The instructions from `first` up to `last`. Raises `Refused`."""
        if threads > 1:
            threads = min(threads, self.batch) if self.work * self.batch >= WORTH_A_THREAD else 1
        failed = RUN(threads, self.batch, last - first, self._address + 8 * WORDS * first)
        if failed:
            number = first + failed - 1
            raise Refused(self.refusals[number], number)

    def _give_out(self) -> None:
        """A buffer is free behind the last instruction that names it."""
        last: dict[Buffer, int] = {}
        for i, (_, *operands) in enumerate(self.instructions):
            last.update({x.buffer: i for x in operands if isinstance(x, Stream)})
        free: dict[int, list[Tensor]] = {}
        for i, (_, *operands) in enumerate(self.instructions):
            buffers = dict.fromkeys(x.buffer for x in operands if isinstance(x, Stream))
            for buffer in buffers:
                if buffer.tensor is None:
                    ready = None if buffer.stays else free.get(buffer.pitch)
                    buffer.tensor = ready.pop() if ready else torch.zeros(self.batch, buffer.pitch)
            for buffer in buffers:
                if last[buffer] == i and not buffer.stays and buffer.tensor is not None:
                    free.setdefault(buffer.pitch, []).append(buffer.tensor)

    def _encode(self, instruction: tuple[Any, ...]) -> list[int]:
        words: list[int] = []
        for x in instruction:
            if isinstance(x, Stream):
                tensor = x.buffer.tensor
                assert tensor is not None
                words += [tensor.data_ptr() + 4 * x.first, x.buffer.pitch]
            elif isinstance(x, Tensor):
                assert x.is_contiguous(), "the kernel reads compact numbers"
                words.append(x.data_ptr())
            elif isinstance(x, float):
                words.append(struct.unpack("q", struct.pack("d", x))[0])
            else:
                words.append(x or 0)
        assert len(words) <= WORDS, "an instruction has no room for its operands"
        return words + [0] * (WORDS - len(words))
