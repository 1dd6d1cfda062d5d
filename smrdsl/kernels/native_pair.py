"""Two short filters, one behind the other, by one native kernel, forward and backward: a convolution and an SMR.

Each is one of `native_taps.py`. What the first makes is neither written to memory nor kept for the way back. They start
from zeros. A gradient that is to be derived again is that of `composed`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, library

from smrdsl.kernels import native_taps
from smrdsl.kernels.core import in_full
from smrdsl.kernels.depthwise import FEW_TAPS
from smrdsl.kernels.native_calls import compact, expect, kernel
from smrdsl.kernels.native_second import derivable
from smrdsl.kernels.native_taps import ShortFilter

FORWARD, BACKWARD = kernel("pair_forward", 7, 6), kernel("pair_backward", 7, 11)


def run(first: ShortFilter, second: ShortFilter, x: Tensor) -> Tensor:
    """x (B, L, D) -> (B, L, D), where both fit (`ShortFilter.fits`)."""
    if x.device.type != "cpu":  # Triton has a kernel for each, not for both
        return second.run(first.run(x, None), None)
    parts = (first.taps, first.bias, second.taps, second.bias)
    return torch.ops.smrdsl.filter_pair(x, *parts, first.number, second.number)


def composed(
    x: Tensor,
    taps: Tensor,
    bias: Tensor | None,
    next_taps: Tensor,
    next_bias: Tensor | None,
    *,
    gates: tuple[int, int],
) -> Tensor:
    """The same of torch's own operators."""
    between = native_taps.composed(x, None, taps, bias, number=gates[0])
    return native_taps.composed(between, None, next_taps, next_bias, number=gates[1])


# --- the two operators

GIVEN = "Tensor x, Tensor taps, Tensor? bias, Tensor next_taps, Tensor? next_bias, int gate, int next_gate"
NAME = "smrdsl::filter_pair"
BACK = f"{NAME}_backward"
library.define(NAME, f"({GIVEN}) -> Tensor")
library.define(BACK, f"({GIVEN}, Tensor dy) -> ({', '.join(['Tensor'] * 5)})")


def sizes(x: Tensor, taps: Tensor, next_taps: Tensor, *gates: int) -> tuple[int, ...]:
    return *gates, *x.shape, taps.shape[1], next_taps.shape[1]


@library.impl(NAME, "cpu")
def forward(*arguments: Any) -> Tensor:
    *given, gate, next_gate = arguments
    y = like_forward(*arguments)
    FORWARD(*sizes(given[0], given[1], given[3], gate, next_gate), *map(compact, given), y)
    return y


@library.register_fake(NAME)
def like_forward(*arguments: Any) -> Tensor:
    x, taps, bias, next_taps, next_bias, *_ = arguments
    for numbers in (taps, next_taps):
        expect(numbers, x.shape[2], min(numbers.shape[1], FEW_TAPS))
    for numbers in (bias, next_bias):
        expect(numbers, x.shape[2])
    return x.new_empty(x.shape)


@library.impl(BACK, "cpu")
def backward(*arguments: Any) -> tuple[Tensor, ...]:
    """Gradients of x and of taps and bias of both; empty where there is no such thing."""
    *given, gate, next_gate, dy = arguments
    found = like_backward(*arguments)
    made = (p if q is not None else None for p, q in zip(found, given, strict=True))
    BACKWARD(*sizes(given[0], given[1], given[3], gate, next_gate), *map(compact, (*given, dy)), *made)
    return found


@library.register_fake(BACK)
def like_backward(*arguments: Any) -> tuple[Tensor, ...]:
    return tuple(arguments[0].new_empty((0,) if p is None else p.shape) for p in arguments[:5])


def remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *given, gate, next_gate = inputs
    ctx.gates = gate, next_gate
    ctx.save_for_backward(*given)


def gradients(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    given = ctx.saved_tensors
    with in_full(dy):  # `backward` may be called inside of autocast
        if torch.is_grad_enabled():
            again = partial(composed, gates=ctx.gates)
            return *derivable(again, given, ctx.needs_input_grad[:5], (dy,)), None, None
        found = torch.ops.smrdsl.filter_pair_backward(*given, *ctx.gates, dy)
    return *(p if q is not None else None for p, q in zip(found, given, strict=True)), None, None


library.register_autograd(NAME, gradients, setup_context=remember)
