"""A short causal convolution of each channel by itself, and a gate of it, by a native kernel where there is one.

    p_t = bias + sum_k w_k x_{t - K + 1 + k}        y_t = p_t, or x_t gate(p_t)

One pass forward and one backward: the cost is that of reading and writing streams, so everything that is not one is
saved. The kernel has no second derivatives: a gradient that is to be derived again is that of `composed`, as is all
under torch.func.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, library

from smrdsl.kernels.any_length import known
from smrdsl.kernels.core import in_full
from smrdsl.kernels.depthwise import FEW_TAPS, depthwise
from smrdsl.kernels.native_calls import compact, expect, fits, kernel
from smrdsl.kernels.native_second import derivable

GATES: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid2": lambda p: 2.0 * torch.sigmoid(p),
    "tanh1": lambda p: 1.0 + torch.tanh(p),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
    "identity": lambda p: p,
}
"""In the order of the kernel's numbers, of which 0 is no gate."""
NUMBERS = {name: number for number, name in enumerate(GATES, 1)}
NAMES = tuple(GATES)
FORWARD, BACKWARD = kernel("taps_forward", 5, 5), kernel("taps_backward", 5, 9)


def convolve(x: Tensor, before: Tensor | None, taps: Tensor, bias: Tensor | None, gate: str | None = None) -> Tensor:
    """x (B, L, D), the K - 1 inputs before it or None for zeros, taps (D, K) oldest first, bias (D) -> (B, L, D)."""
    number = 0 if gate is None else NUMBERS[gate]
    if taps.shape[1] <= FEW_TAPS and _can_run(x, before, taps, bias):
        return torch.ops.smrdsl.taps(x, before, taps, bias, number)
    return composed(x, before, taps, bias, number=number)


def _can_run(x: Tensor, *others: Tensor | None) -> bool:
    return fits(x) and all(p is None or p.dtype is x.dtype for p in others)


def composed(x: Tensor, before: Tensor | None, taps: Tensor, bias: Tensor | None, *, number: int) -> Tensor:
    """The same of torch's own operators."""
    past = taps.shape[1] - 1
    p = depthwise(F.pad(x, (0, 0, past, 0)) if before is None else torch.cat((before, x), 1), taps)
    p = p if bias is None else p + bias
    return x * GATES[NAMES[number - 1]](p) if number else p


def last(x: Tensor, before: Tensor) -> Tensor:
    """The last inputs after x, as many as those before it: (B, K - 1, D)."""
    latest = x[:, max(0, x.shape[1] - before.shape[1]) :] if known(x.shape[1]) else x
    return torch.cat((before, latest), 1)[:, latest.shape[1] :].clone()


# --- the two operators

GIVEN = "Tensor x, Tensor? before, Tensor taps, Tensor? bias, int gate"
NAME = "smrdsl::taps"
BACK = f"{NAME}_backward"
library.define(NAME, f"({GIVEN}) -> Tensor")
library.define(BACK, f"({GIVEN}, Tensor dy) -> (Tensor, Tensor, Tensor, Tensor)")


@library.impl(NAME, "cpu")
def forward(x: Tensor, before: Tensor | None, taps: Tensor, bias: Tensor | None, gate: int) -> Tensor:
    y = like_forward(x, before, taps, bias, gate)
    FORWARD(gate, *x.shape, taps.shape[1], *map(compact, (x, before, taps, bias)), y)
    return y


@library.register_fake(NAME)
def like_forward(x: Tensor, before: Tensor | None, taps: Tensor, bias: Tensor | None, gate: int) -> Tensor:
    batch, _, width = x.shape
    expect(before, batch, taps.shape[1] - 1, width)
    expect(taps, width, min(taps.shape[1], FEW_TAPS))
    expect(bias, width)
    return x.new_empty(x.shape)


@library.impl(BACK, "cpu")
def backward(*arguments: Any) -> tuple[Tensor, ...]:
    """Gradients of x, before, taps and bias; empty where there is no such thing."""
    x, before, taps, bias, gate, dy = arguments
    found = like_backward(*arguments)
    made = (p if q is not None else None for p, q in zip(found, (x, before, taps, bias), strict=True))
    BACKWARD(gate, *x.shape, taps.shape[1], *map(compact, (x, before, taps, bias, dy)), *made)
    return found


@library.register_fake(BACK)
def like_backward(*arguments: Any) -> tuple[Tensor, ...]:
    return tuple(arguments[0].new_empty((0,) if p is None else p.shape) for p in arguments[:4])


def remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *given, ctx.gate = inputs
    ctx.save_for_backward(*given)


def gradients(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    given = ctx.saved_tensors
    with in_full(dy):  # `backward` may be called inside of autocast
        if torch.is_grad_enabled():
            again = partial(composed, number=ctx.gate)
            return *derivable(again, given, ctx.needs_input_grad[:4], (dy,)), None
        found = torch.ops.smrdsl.taps_backward(*given, ctx.gate, dy)
    return *(p if q is not None else None for p, q in zip(found, given, strict=True)), None


library.register_autograd(NAME, gradients, setup_context=remember)
