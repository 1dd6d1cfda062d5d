"""A tree of pointwise operations in one pass over its streams, by a native kernel, forward and backward.

A program says what is done, step by step; step i gives value i, and the last is what comes out:

    load 0; load 1; sigmoid 1; mul 1 2; mul 0 3        y = x_0 x_1 sigmoid(x_1)

    load k [part]    stream k, or one of the parts of a stream that is several times as wide as y
    add, sub, mul i j      scale i number      offset i number      relu, sigmoid, tanh, softplus, normal i

Streams are (..., D), vectors (D), the same everywhere; of a stream all parts are loaded, and each but the last value is
read. Only the streams are kept for the way back. The kernel has no second derivatives: a gradient that is to be derived
again is that of `composed`, as is all under torch.func. Programs are made by `lazy.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from ctypes import c_float, c_int64, c_void_p
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, library

from smrdsl.kernels.any_length import known
from smrdsl.kernels.core import in_full
from smrdsl.kernels.native_calls import LIBRARY, address, expect, fits
from smrdsl.kernels.native_second import derivable
from smrdsl.native import Library

MOST_STREAMS = 8
MOST_STEPS = 64
LEAST = 1 << 18
"""Elements of the smallest stream that pays for what is written down, with gradients; without them twice as many do."""
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "scale": torch.mul,
    "offset": torch.add,
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "normal": lambda x: 0.5 * torch.erfc(x * -math.sqrt(0.5)),  # torch's own ndtr loses its tail
}
"""In the order of the kernel's numbers, of which 0 is `load`."""
CODES = {"load": 0} | {name: code for code, name in enumerate(FUNCTIONS, 1)}
JOIN, WITH_NUMBER = ("add", "sub", "mul"), ("scale", "offset")


@dataclass(frozen=True, eq=False)
class Program:
    """A program as the kernel reads it, and as `composed` does: (name, operand, other operand or part or number)."""

    steps: tuple[tuple[str, int, float], ...]
    parts: tuple[int, ...]
    """Of each stream."""
    whole: Any
    numbers: Any


@lru_cache(maxsize=1024)
def parse(text: str) -> Program:
    """Raises ValueError for what the kernel cannot run."""
    steps: list[tuple[str, int, float]] = []
    parts: dict[int, int] = {}
    unread: set[int] = set()
    for name, first, *rest in (line.split() for line in text.split("; ")):
        operand, other = int(first), float(rest[0]) if rest else 0.0
        read = {operand, int(other)} if name in JOIN else {operand}
        if name == "load":
            parts[operand] = max(parts.get(operand, 0), int(other) + 1)
        elif not read <= {*range(len(steps))}:
            raise ValueError(f"`{name}` in the program `{text}` reads what is not there")
        unread = (unread - read if name != "load" else unread) | {len(steps)}
        steps.append((name, operand, other))
    loads = [(operand, int(other)) for name, operand, other in steps if name == "load"]
    if {*loads} != {(k, i) for k, n in parts.items() for i in range(n)} or {*parts} != {*range(len(parts))}:
        raise ValueError(f"the program `{text}` loads only parts of its streams")
    if len(unread) != 1 or steps[-1][0] == "load" or len(steps) > MOST_STEPS or len({*loads}) != len(loads):
        raise ValueError(f"the program `{text}` is too long, or does something for nothing")
    return Program(tuple(steps), tuple(parts[k] for k in range(len(parts))), *_as_arrays(steps))


def _as_arrays(steps: Sequence[tuple[str, int, float]]) -> tuple[Any, Any]:
    whole, numbers = (c_int64 * (3 * len(steps)))(), (c_float * len(steps))()
    for i, (name, operand, other) in enumerate(steps):
        whole[3 * i], whole[3 * i + 1] = CODES[name], operand
        if name in WITH_NUMBER:
            numbers[i] = other
        else:
            whole[3 * i + 2] = int(other)
    return whole, numbers


def can_run(x: Tensor) -> bool:
    """Whether the kernel may run on a stream (..., D), and would be quicker than torch."""
    size, least = x.numel(), LEAST if torch.is_grad_enabled() else 2 * LEAST
    return known(size) and size >= least and x.dim() > 1 and fits(x)


def run(streams: Sequence[Tensor], program: str) -> Tensor:
    """What a program makes of its streams, in float32 on a CPU, at most `MOST_STREAMS`."""
    return torch.ops.smrdsl.pointwise.default(*streams, *[None] * (MOST_STREAMS - len(streams)), program)


def composed(*streams: Tensor | None, program: str) -> Tensor:
    """The same of torch's own operators."""
    found: list[Tensor] = []
    parsed = parse(program)
    for name, operand, other in parsed.steps:
        if name == "load":
            stream = streams[operand]
            assert stream is not None, "a program has all of its streams"
            found.append(stream.chunk(parsed.parts[operand], -1)[int(other)])
        elif name in JOIN:
            found.append(FUNCTIONS[name](found[operand], found[int(other)]))
        elif name in WITH_NUMBER:
            found.append(FUNCTIONS[name](found[operand], other))
        else:
            found.append(FUNCTIONS[name](found[operand]))
    return found[-1]


# --- the kernel's arguments


def kernels(library: Library | None) -> tuple[Callable[..., int], ...]:
    """Forward and backward."""
    if library is None:
        return ()
    sizes = [c_int64] * 4
    forward = library.kernel("pointwise_forward", [*sizes, *[c_void_p] * 5])
    return forward, library.kernel("pointwise_backward", [*sizes, c_int64, *[c_void_p] * 6])


KERNELS = kernels(LIBRARY)


def rows_of(x: Tensor) -> tuple[Tensor, int]:
    """A stream as the kernel takes it, and the distance of its rows; 0 of a vector."""
    if x.dim() == 1:
        return x.contiguous(), 0
    if x.is_contiguous():
        return x, x.shape[-1]
    stride, shape = x.stride(), x.shape
    even = all(stride[i] == stride[i + 1] * shape[i + 1] for i in range(x.dim() - 2))
    if not (even and stride[-1] == 1 and stride[-2] >= shape[-1]):
        x = x.contiguous()
    return x, x.stride(-2) if x.shape[-2] > 1 else x.shape[-1]


def call(way: int, program: Program, streams: Sequence[Tensor], shape: torch.Size, *more: Any) -> None:
    """Forward to y, or backward from dy to gradients, None for those that nobody wants. Raises MemoryError."""
    pairs = [rows_of(x) for x in streams]
    places = (c_void_p * len(pairs))(*(address(x) for x, _ in pairs))
    pitches = (c_int64 * len(pairs))(*(pitch for _, pitch in pairs))
    width = shape[-1]
    counts = (len(program.steps), len(pairs)) if way else (len(program.steps),)
    last: list[Any] = [address(more[0])]
    if way:
        last.append((c_void_p * len(pairs))(*(None if x is None else address(x) for x in more[1])))
    rows, threads = math.prod(shape[:-1]), torch.get_num_threads()
    if KERNELS[way](threads, rows, width, *counts, program.whole, program.numbers, places, pitches, *last):
        raise MemoryError("no memory is left for pointwise operations")


def shape_of(program: Program, streams: Sequence[Tensor]) -> torch.Size:
    """That of what comes out. Raises ValueError where the streams do not belong together."""
    x, parts = next((x, parts) for x, parts in zip(streams, program.parts, strict=True) if x.dim() > 1)
    shape = torch.Size((*x.shape[:-1], x.shape[-1] // parts))
    for stream, many in zip(streams, program.parts, strict=True):
        leading = () if stream.dim() == 1 else shape[:-1]
        expect(stream, *leading, many * shape[-1])
    return shape


# --- the two operators

STREAMS = ", ".join(f"Tensor{'?' * (k > 0)} x{k}" for k in range(MOST_STREAMS))
NAME = "smrdsl::pointwise"
BACK = f"{NAME}_backward"
library.define(NAME, f"({STREAMS}, str program) -> Tensor")
library.define(BACK, f"({STREAMS}, str program, int wanted, Tensor dy) -> ({', '.join(['Tensor'] * MOST_STREAMS)})")


def given(arguments: Sequence[Any]) -> list[Tensor]:
    return [x for x in arguments[:MOST_STREAMS] if x is not None]


@library.impl(NAME, "cpu")
def forward(*arguments: Any) -> Tensor:
    y, streams = like_forward(*arguments), given(arguments)
    call(0, parse(arguments[-1]), streams, y.shape, y)
    return y


@library.register_fake(NAME)
def like_forward(*arguments: Any) -> Tensor:
    streams = given(arguments)
    return streams[0].new_empty(shape_of(parse(arguments[-1]), streams))


@library.impl(BACK, "cpu")
def backward(*arguments: Any) -> tuple[Tensor, ...]:
    """Gradients of the streams; empty where there is none, or the bit of `wanted` is not set."""
    *_, program, wanted, dy = arguments
    found, streams = like_backward(*arguments), given(arguments)
    made = [p if wanted >> k & 1 else None for k, p in enumerate(found[: len(streams)])]
    call(1, parse(program), streams, dy.shape, dy.contiguous(), made)
    return found


@library.register_fake(BACK)
def like_backward(*arguments: Any) -> tuple[Tensor, ...]:
    *streams, program, wanted, dy = arguments
    expect(dy, *shape_of(parse(program), given(streams)))
    return tuple(dy.new_empty((0,) if x is None or not wanted >> k & 1 else x.shape) for k, x in enumerate(streams))


def remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *streams, ctx.program = inputs
    ctx.save_for_backward(*streams)


def gradients(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    streams, needed = ctx.saved_tensors, ctx.needs_input_grad[:MOST_STREAMS]
    with in_full(dy):  # `backward` may be called inside of autocast
        if torch.is_grad_enabled():
            again = partial(composed, program=ctx.program)
            return *derivable(again, streams, needed, (dy,)), None
        wanted = sum(1 << k for k, needs in enumerate(needed) if needs)
        found = torch.ops.smrdsl.pointwise_backward.default(*streams, ctx.program, wanted, dy)
    return *(p if needs else None for p, needs in zip(found, needed, strict=True)), None


library.register_autograd(NAME, gradients, setup_context=remember)
