"""A short causal convolution of each channel by itself, and a gate of it, by a native kernel where there is one.

    p_t = bias + sum_k w_k x_{t - K + 1 + k}        y_t = p_t, or x_t gate(p_t), or act(p_t)

One pass forward and one backward: the cost is that of reading and writing streams, so everything that is not one is
saved. The kernel has no second derivatives: a gradient that is to be derived again is that of `composed`, as is all
under torch.func.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, library

from smrdsl.kernels.any_length import known
from smrdsl.kernels.core import in_full
from smrdsl.kernels.depthwise import FEW_TAPS, depthwise
from smrdsl.kernels.native_calls import PLACES, compact, expect, fits, kernel
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
ACTS: dict[str, Callable[[Tensor], Tensor]] = {"silu": F.silu}
"""What may stand behind a filter instead of a gate; their numbers follow."""
NUMBERS = {name: number for number, name in enumerate(GATES, 1)}
NAMES = tuple(GATES)
FORWARD, BACKWARD = kernel("taps_forward", 5, 5), kernel("taps_backward", 5, 9)


@dataclass(frozen=True)
class ShortFilter:
    """taps (D, K), oldest first, bias (D) or None, and the name of a gate, or of an activation, or of neither."""

    taps: Tensor
    bias: Tensor | None
    gate: str | None = None
    act: str | None = None

    @property
    def number(self) -> int:
        """What the kernel calls its gate or activation."""
        if self.act is not None:
            assert self.gate is None, "an activation stands instead of a gate"
            return len(GATES) + 1 + list(ACTS).index(self.act)
        return 0 if self.gate is None else NUMBERS[self.gate]

    def fits(self, x: Tensor, *others: Tensor | None) -> bool:
        """Whether native kernels may run it on a stream x, or Triton's."""
        alike = all(p is None or p.dtype is x.dtype for p in (self.taps, self.bias, *others))
        return self.taps.shape[1] <= FEW_TAPS and fits(x, gpu=True) and alike

    def run(self, x: Tensor, before: Tensor | None) -> Tensor:
        """x (B, L, D), the K - 1 inputs before it or None for zeros -> (B, L, D)."""
        if self.fits(x, before):
            return torch.ops.smrdsl.taps(x, before, self.taps, self.bias, self.number)
        return composed(x, before, self.taps, self.bias, number=self.number)


def convolve(x: Tensor, before: Tensor | None, taps: Tensor, bias: Tensor | None, gate: str | None = None) -> Tensor:
    """x (B, L, D), the K - 1 inputs before it or None for zeros, taps (D, K) oldest first, bias (D) -> (B, L, D)."""
    return ShortFilter(taps, bias, gate).run(x, before)


def composed(x: Tensor, before: Tensor | None, taps: Tensor, bias: Tensor | None, *, number: int) -> Tensor:
    """The same of torch's own operators."""
    past = taps.shape[1] - 1
    p = depthwise(F.pad(x, (0, 0, past, 0)) if before is None else torch.cat((before, x), 1), taps)
    p = p if bias is None else p + bias
    if number > len(GATES):
        return list(ACTS.values())[number - len(GATES) - 1](p)
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


@library.impl(NAME, PLACES)
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


@library.impl(BACK, PLACES)
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
