"""A time-invariant system (`system.py`) one time after the other, by a native kernel, forward and backward.

From the zero state the b of a diagonal system may as well stand behind its states as before them: with
x = b x' the input drives x' as it is, and c is turned into c b. That saves a quarter of the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, library

from smrdsl.kernels.native_calls import PLACES, SECOND, compact, expect, kernel
from smrdsl.kernels.system import System
from smrdsl.kernels.transition import Diagonal, LowRank, RealDiagonal

TILE = 64
"""Times from one kept state to the next; the kernels' TILE."""
LANES = 16
"""What kept states round channels up to; the kernels' WIDEST."""
RANKS = (1, 2)
FORWARD = {name: kernel(f"{name}_forward", 6, 11) for name in ("diagonal", "low_rank")}
BACKWARD = {name: kernel(f"{name}_backward", 6, 18) for name in ("diagonal", "low_rank")}


@dataclass(frozen=True)
class NativeBank:
    """The numbers of a system as the kernels take them: a, c (H, N), b the same or None, d (H), left, right (H, r, N).

    `kind` is the rank or, where there are no left and right, 1 for complex numbers and 0 for real ones.
    """

    a: Tensor
    b: Tensor | None
    c: Tensor
    d: Tensor | None
    left: Tensor | None
    right: Tensor | None
    kind: int

    def run(self, u: Tensor, x: Tensor | None, backwards: bool = False) -> tuple[Tensor, Tensor]:
        """From the state x (B, H, N): the outputs (B, L, H) and the state after them; backwards, from the last time on.

        Without a b, that is from the zero state, the state is one without it too.
        """
        parts = (self.a, self.b, self.c, self.d, self.left, self.right)
        keep = torch.is_grad_enabled() and any(p is not None and p.requires_grad for p in (u, x, *parts))
        y, after, _ = bank_forward(u, x, *parts, self.kind, backwards, keep)
        return y, after


def native_bank(s: System, from_zero: bool) -> NativeBank | None:
    """A system for the kernels, for the zero state only or for any; None where they do not know its transition."""
    a, b, c, d = s.a, row(s.b), row(s.c), compact(s.d)
    if isinstance(a, LowRank):
        one, rank = a.left.shape[1:3]
        if one != 1 or rank not in RANKS:
            return None
        left, right = compact(a.left.squeeze(1)), compact(a.right.squeeze(1))
        return NativeBank(numbers_of(a.diagonal), b, c, d, left, right, rank)
    if not isinstance(a, Diagonal | RealDiagonal) or s.b.shape[1] != 1:
        return None
    if from_zero:
        b, c = None, row(a.from_vectors(s.b).transposed().apply(s.c))
    return NativeBank(numbers_of(a), b, c, d, None, None, int(isinstance(a, Diagonal)))


def numbers_of(a: Diagonal | RealDiagonal) -> Tensor:
    """The diagonal of a system, (H, N)."""
    if isinstance(a, RealDiagonal):
        return row(a.factors)
    half = a.same.shape[2] // 2
    return torch.cat([a.same[:, 0, :half], a.cross[:, 0, half:]], 1)


def row(x: Tensor) -> Tensor:
    """(H, 1, N) -> (H, N)"""
    return x.squeeze(1).contiguous()


NAME, BACK = "smrdsl::bank", "smrdsl::bank_backward"
SYSTEM = "Tensor a, Tensor? b, Tensor c, Tensor? d, Tensor? left, Tensor? right"
# Not by `custom_op`, which would import torch's compiler at the first call, and takes longer at each.
library.define(
    NAME, f"(Tensor u, Tensor? x, {SYSTEM}, int kind, bool backwards, bool keep) -> (Tensor, Tensor, Tensor)"
)
library.define(
    BACK,
    f"(Tensor u, {SYSTEM}, Tensor kept, Tensor dy, Tensor dafter, int kind, bool backwards) -> "
    f"({', '.join(['Tensor'] * 8)})",
)


def bank_forward(*given: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The outputs, the state after them and, to keep for the way back, the states before every tile: see `forward`."""
    return torch.ops.smrdsl.bank(*given)


@library.impl(NAME, PLACES)
def forward(
    u: Tensor,
    x: Tensor | None,
    a: Tensor,
    b: Tensor | None,
    c: Tensor,
    d: Tensor | None,
    left: Tensor | None,
    right: Tensor | None,
    kind: int,
    backwards: bool,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The outputs, the state after them and, to `keep` for the way back, the states before every tile."""
    y, after, kept = like_forward(u, x, a, b, c, d, left, right, kind, backwards, keep)
    given = (u, x, a, b, c, d, left, right)
    FORWARD["diagonal" if left is None else "low_rank"](
        kind, *u.shape, a.shape[1], int(backwards), *map(compact, given), y, after, kept if keep else None
    )
    return y, after, kept


@library.register_fake(NAME)
def like_forward(
    u: Tensor, x: Any, a: Tensor, b: Any, c: Any, d: Any, left: Any, right: Any, kind: int, backwards: bool, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    (batch, length, channels), states = u.shape, a.shape[1]
    for numbers in (a, b, c):
        expect(numbers, channels, states)
    for side in (left, right):
        expect(side, channels, kind, states)
    expect(x, batch, channels, states)
    expect(d, channels)
    kept = (batch, (length + TILE - 1) // TILE, states, (channels + LANES - 1) // LANES * LANES) if keep else (0,)
    return u.new_empty(u.shape), u.new_empty(batch, channels, states), u.new_empty(kept)


@library.impl(BACK, PLACES)
def backward(
    u: Tensor,
    a: Tensor,
    b: Tensor | None,
    c: Tensor,
    d: Tensor | None,
    left: Tensor | None,
    right: Tensor | None,
    kept: Tensor,
    dy: Tensor,
    dafter: Tensor,
    kind: int,
    backwards: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of u, x, a, b, c, d, left and right; empty where there is no such thing."""
    found = like_backward(u, a, b, c, d, left, right, kept, dy, dafter)
    given = (u, a, b, c, d, left, right, kept, dy, dafter)
    name, sizes = "diagonal" if left is None else "low_rank", (kind, *u.shape, a.shape[1], int(backwards))
    BACKWARD[name](*sizes, *map(compact, given), *found)
    return found


@library.register_fake(BACK)
def like_backward(
    u: Tensor, a: Tensor, b: Any, c: Tensor, d: Any, left: Any, right: Any, kept: Any, dy: Any, dafter: Tensor, *_: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    def like(p: Tensor | None) -> Tensor:
        return u.new_empty((0,) if p is None else p.shape)

    return like(u), like(dafter), like(a), like(b), like(c), like(d), like(left), like(right)


def remember_inputs(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *tensors, kind, backwards, _ = inputs
    ctx.save_for_backward(*tensors, output[2])
    ctx.way = kind, backwards
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(output[2])


def gradients(ctx: Any, dy: Tensor | None, dafter: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    u, x, a, b, c, d, left, right, kept = ctx.saved_tensors
    parts = (a, b, c, d, left, right)
    if not kept.numel():  # it was not foreseen that gradients would be asked for
        kept = bank_forward(u, x, *parts, *ctx.way, True)[2]
    dy = torch.zeros_like(u) if dy is None else dy
    dafter = u.new_zeros(u.shape[0], u.shape[2], a.shape[1]) if dafter is None else dafter
    found = torch.ops.smrdsl.bank_backward(u, *parts, kept, dy, dafter, *ctx.way)
    pairs = zip((u, x, *parts), cast(tuple[Tensor, ...], found), strict=True)
    return *(None if p is None else g for p, g in pairs), None, None, None


def no_second(ctx: Any, *gradients: Tensor) -> None:
    raise NotImplementedError(SECOND)


library.register_autograd(NAME, gradients, setup_context=remember_inputs)
library.register_autograd(BACK, no_second)
