"""A diagonal core whose samples lie at gaps, one time after the other, by a native kernel, forward and backward.

    x_t = a(g_t) x_{t-1} + f(g_t) w u_t        y_t = c . x_t + d u_t

    zoh         a(g) = e^{gz}                     f(g) = e^{gz} - 1        w = B / Lambda
    bilinear    a(g) = (1 + gz/2) / (1 - gz/2)    f(g) = g / (1 - gz/2)    w = step B

with z = step Lambda; without f, and with the w of a gap of 1, where gaps are for the decay alone. Torch's own operators
would each write numbers of the size of all states at all times; here only those before tiles are kept. The kernel has
no second derivatives: a gradient that is to be derived again is that of `composed`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, library

from smrdsl.kernels.discretise import diagonal_bilinear, diagonal_zoh, inverse, multiply, real
from smrdsl.kernels.native_bank import LANES, TILE
from smrdsl.kernels.native_calls import PLACES, compact, expect, fits, kernel
from smrdsl.kernels.native_second import derivable
from smrdsl.kernels.recurrence import recur
from smrdsl.kernels.transition import Diagonal, Pair

FORWARD, BACKWARD = kernel("gapped_forward", 6, 10), kernel("gapped_backward", 6, 15)
RULES = (diagonal_zoh, diagonal_bilinear)


@dataclass(frozen=True)
class Numbers:
    """z, w, c (H, N) as real vectors, d (H) or None; whether the rule is bilinear, and gaps for the decay alone."""

    z: Tensor
    w: Tensor
    c: Tensor
    d: Tensor | None
    bilinear: bool
    decay: bool

    def to(self, dtype: torch.dtype) -> Numbers:
        """The same in another precision."""
        d = None if self.d is None else self.d.to(dtype)
        return Numbers(self.z.to(dtype), self.w.to(dtype), self.c.to(dtype), d, self.bilinear, self.decay)


def can_run(rule: object, u: Tensor, x: Tensor, gaps: Tensor) -> bool:
    """Whether the kernel may run on a stream u (B, L, H) after the state x; it has no gradients for gaps."""
    return rule in RULES and fits(u, x) and not gaps.requires_grad


def numbers_of(
    rule: Callable[..., tuple[Any, Tensor]],
    lam: Pair,
    b: Pair,
    step: Tensor,
    c: Tensor,
    d: Tensor | None,
    *,
    decay: bool,
) -> Numbers:
    """Of a core: Lambda and B pairs (H or 1, 1, N/2), step (H, 1, 1), c (H or 1, 1, N), as precise as they come."""
    bilinear = rule is diagonal_bilinear
    z = real((lam[0] * step, lam[1] * step))
    if decay:
        w = rule(lam, b, step)[1]
    else:
        w = real((step * b[0], step * b[1]) if bilinear else multiply(inverse(lam), b))
    z, w, c = (row.expand_as(z).squeeze(1) for row in (z, w, c))
    return Numbers(z, w, c, d, bilinear, decay)


def run(u: Tensor, x: Tensor, gaps: Tensor, n: Numbers) -> tuple[Tensor, Tensor]:
    """From the state x (B, H, N), with gaps (B, L): the outputs (B, L, H) and the state after them."""
    given = (u, x, gaps, n.z, n.w, n.c, n.d)
    keep = torch.is_grad_enabled() and any(p is not None and p.requires_grad for p in given)
    y, after, _ = torch.ops.smrdsl.gapped(*given, n.bilinear, n.decay, keep)
    return y, after


def composed(
    u: Tensor,
    x: Tensor,
    gaps: Tensor,
    z: Tensor,
    w: Tensor,
    c: Tensor,
    d: Tensor | None,
    *,
    bilinear: bool,
    decay: bool,
) -> tuple[Tensor, Tensor]:
    """The same of torch's own operators, in a loop."""
    lam, weight = _pair(z), _pair(w)
    rule, b = (diagonal_bilinear, weight) if bilinear else (diagonal_zoh, multiply(lam, weight))

    def sampled(gap: Tensor) -> tuple[Diagonal, Tensor]:
        a, b_bar = rule(lam, b, gap[:, None])
        return a, w[:, None] if decay else b_bar

    y, after = recur((sampled(gap) for gap in gaps.unbind(1)), c[:, None], u, x)
    return y if d is None else torch.addcmul(y, u, d), after


def _pair(x: Tensor) -> Pair:
    """(H, N) -> real and imaginary parts, (H, 1, N/2) each."""
    re, im = x[:, None].chunk(2, -1)
    return re, im


# --- the two operators

GIVEN = "Tensor u, Tensor x, Tensor gaps, Tensor z, Tensor w, Tensor c, Tensor? d"
NAME = "smrdsl::gapped"
BACK = f"{NAME}_backward"
library.define(NAME, f"({GIVEN}, bool bilinear, bool decay, bool keep) -> (Tensor, Tensor, Tensor)")
library.define(
    BACK, f"({GIVEN}, Tensor kept, Tensor dy, Tensor dx, bool bilinear, bool decay) -> ({', '.join(['Tensor'] * 6)})"
)


@library.impl(NAME, PLACES)
def forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    """y, x after and, to `keep` for the way back, the states before tiles."""
    *given, bilinear, decay, keep = arguments
    y, after, kept = like_forward(*arguments)
    FORWARD(bilinear, decay, *y.shape, after.shape[2], *map(compact, given), y, after, kept if keep else None)
    return y, after, kept


@library.register_fake(NAME)
def like_forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    u, x, gaps, z, w, c, d, *_, keep = arguments
    (batch, length, width), states = u.shape, z.shape[1]
    expect(x, batch, width, states)
    expect(gaps, batch, length)
    for numbers in (z, w, c):
        expect(numbers, width, states)
    expect(d, width)
    kept = (batch, (length + TILE - 1) // TILE, states, (width + LANES - 1) // LANES * LANES) if keep else (0,)
    return u.new_empty(u.shape), x.new_empty(x.shape), u.new_empty(kept)


@library.impl(BACK, PLACES)
def backward(*arguments: Any) -> tuple[Tensor, ...]:
    """Gradients of u, x, z, w, c and d (empty where there is none)."""
    u, _, *given, bilinear, decay = arguments
    found = like_backward(*arguments)
    BACKWARD(bilinear, decay, *u.shape, found[2].shape[1], *map(compact, (u, *given)), *found)
    return found


@library.register_fake(BACK)
def like_backward(*arguments: Any) -> tuple[Tensor, ...]:
    u, x, _, z, w, c, d, *_ = arguments
    return tuple(u.new_empty((0,) if p is None else p.shape) for p in (u, x, z, w, c, d))


def remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *given, ctx.bilinear, ctx.decay, _ = inputs
    ctx.save_for_backward(*given, output[2])
    ctx.mark_non_differentiable(output[2])


def gradients(ctx: Any, dy: Tensor, dx: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    *given, kept = ctx.saved_tensors
    if torch.is_grad_enabled():
        again = partial(composed, bilinear=ctx.bilinear, decay=ctx.decay)
        return *derivable(again, given, ctx.needs_input_grad[: len(given)], (dy, dx)), None, None, None
    if not kept.numel():  # it was not foreseen that gradients would be asked for
        kept = torch.ops.smrdsl.gapped(*given, ctx.bilinear, ctx.decay, True)[2]
    du, dstart, dz, dw, dc, dd = torch.ops.smrdsl.gapped_backward(*given, kept, dy, dx, ctx.bilinear, ctx.decay)
    return du, dstart, None, dz, dw, dc, None if given[6] is None else dd, None, None, None


library.register_autograd(NAME, gradients, setup_context=remember)
