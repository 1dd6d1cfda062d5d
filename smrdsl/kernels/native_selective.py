"""A selective core one time after the other, by a native kernel, forward and backward.

    w_t = softplus(delta_t + bias)    s_t = gap_t w_t    v_t = (s_t or, for `decay`, w_t) x_t
    h_t = exp(s_t A) h_{t-1} + v_t b_t    y_t = c_t . h_t + d x_t

The steps and the skip are part of it, since every pass over a stream would cost as much as a few states. The kernel has
no second derivatives: a gradient that is to be derived again is that of `composed`, as is all under torch.func.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, library

from smrdsl.kernels import selective
from smrdsl.kernels.core import Gap, in_full
from smrdsl.kernels.native_bank import LANES, TILE
from smrdsl.kernels.native_calls import PLACES, compact, expect, fits, kernel
from smrdsl.kernels.native_second import derivable
from smrdsl.kernels.steps import sampled

FORWARD, BACKWARD = kernel("selective_forward", 5, 12), kernel("selective_backward", 5, 19)
Given = tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor, Tensor, Tensor, Tensor | None, Tensor]
"""x and delta (B, L, D), bias (D), gaps (B, L) or None, A (D, N), b and c (B, L, N), d (D) or None, h (B, D, N)."""
NativeRun = Callable[[Given, bool], tuple[Tensor, Tensor]]
"""`run`, or what stands in for it."""


def can_run(x: Tensor, h: Tensor, rate: Gap | None, dt: Tensor | None) -> bool:
    """Whether the kernel may run on a stream x (B, L, D) after the state h; it has no gradients for gaps."""
    return fits(x, h, gpu=True) and not any(isinstance(gap, Tensor) and gap.requires_grad for gap in (rate, dt))


def gaps_of(x: Tensor, rate: Gap | None, dt: Tensor | None) -> Tensor | None:
    """Both as one (B, L), or None for gaps of 1."""
    if dt is None:
        return None if rate is None else x.new_ones(x.shape[:2]) * rate
    return (dt.to(x.dtype) * (1.0 if rate is None else rate)).expand(x.shape[:2])


def run(given: Given, decay: bool) -> tuple[Tensor, Tensor]:
    """y (B, L, D) and h after."""
    keep = torch.is_grad_enabled() and any(p is not None and p.requires_grad for p in given)
    y, after, _ = torch.ops.smrdsl.selective_native(*given, decay, keep)
    return y, after


def composed(
    x: Tensor,
    delta: Tensor,
    bias: Tensor,
    gaps: Tensor | None,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    d: Tensor | None,
    h: Tensor,
    *,
    decay: bool,
) -> tuple[Tensor, Tensor]:
    """The same of torch's own operators, in a loop."""
    steps, weights = sampled(delta, bias, None, gaps, decay=decay)
    y, after = selective.recur(weights * x, steps, a, b, c, h)
    return y if d is None else torch.addcmul(y, x, d), after


# --- the two operators

STREAMS = "Tensor x, Tensor delta, Tensor bias, Tensor? gaps, Tensor a, Tensor b, Tensor c, Tensor? d"
NAME = "smrdsl::selective_native"
BACK = f"{NAME}_backward"
library.define(NAME, f"({STREAMS}, Tensor h, bool decay, bool keep) -> (Tensor, Tensor, Tensor)")
library.define(BACK, f"({STREAMS}, Tensor kept, Tensor dy, Tensor dh, bool decay) -> ({', '.join(['Tensor'] * 8)})")


@library.impl(NAME, PLACES)
def forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    """y, h after and, to `keep` for the way back, the states before tiles."""
    *given, decay, keep = arguments
    y, after, kept = like_forward(*arguments)
    FORWARD(decay, *y.shape, after.shape[2], *map(compact, given), y, after, kept if keep else None)
    return y, after, kept


@library.register_fake(NAME)
def like_forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    x, delta, bias, gaps, a, b, c, d, h, _, keep = arguments
    (batch, length, width), states = x.shape, a.shape[1]
    expect(delta, batch, length, width)
    expect(gaps, batch, length)
    expect(a, width, states)
    expect(h, batch, width, states)
    for numbers in (bias, d):
        expect(numbers, width)
    for rows in (b, c):
        expect(rows, batch, length, states)
    kept = (batch, (length + TILE - 1) // TILE, states, (width + LANES - 1) // LANES * LANES) if keep else (0,)
    return x.new_empty(x.shape), x.new_empty(h.shape), x.new_empty(kept)


@library.impl(BACK, PLACES)
def backward(*arguments: Any) -> tuple[Tensor, ...]:
    """Gradients of x, delta, bias, A, b, c, d (empty where there is none) and h."""
    *given, decay = arguments
    found = like_backward(*arguments)
    BACKWARD(decay, *found[0].shape, found[3].shape[1], *map(compact, given), *found)
    return found


@library.register_fake(BACK)
def like_backward(*arguments: Any) -> tuple[Tensor, ...]:
    x, delta, bias, _, a, b, c, d, _, _, dh, _ = arguments
    return tuple(x.new_empty((0,) if p is None else p.shape) for p in (x, delta, bias, a, b, c, d, dh))


def remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *given, ctx.decay, _ = inputs
    ctx.save_for_backward(*given, output[2])
    ctx.mark_non_differentiable(output[2])


def gradients(ctx: Any, dy: Tensor, dh: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    *given, kept = ctx.saved_tensors
    with in_full(dy):  # `backward` may be called inside of autocast
        if torch.is_grad_enabled():
            again = partial(composed, decay=ctx.decay)
            return *derivable(again, given, ctx.needs_input_grad[: len(given)], (dy, dh)), None, None
        if not kept.numel():  # it was not foreseen that gradients would be asked for
            kept = torch.ops.smrdsl.selective_native(*given, ctx.decay, True)[2]
        found = torch.ops.smrdsl.selective_native_backward(*given[:-1], kept, dy, dh, ctx.decay)
    dx, ddelta, dbias, da, db, dc, dd, dstart = found
    return dx, ddelta, dbias, None, da, db, dc, dd if given[7] is not None else None, dstart, None, None


library.register_autograd(NAME, gradients, setup_context=remember)
