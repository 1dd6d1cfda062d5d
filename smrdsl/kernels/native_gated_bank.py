"""A short filter, gated or not, in front of a time-invariant system, in one native kernel, forward and backward.

    p_t = bias + sum_k w_k u_{t - K + 1 + k}    v_t = u_t gate(p_t)    x_t = A x_{t-1} + b v_t    y_t = c . x_t + d v_t

That is `native_taps.convolve` and then `native_bank`, number for number. v is made a tile at a time and never lies in
memory: neither forward, nor kept for the way back, where its gradient is not written either.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, library

from smrdsl.kernels import native_taps
from smrdsl.kernels.core import Bank, Gap, in_full
from smrdsl.kernels.depthwise import FEW_TAPS
from smrdsl.kernels.memo import remember
from smrdsl.kernels.native_bank import LANES, TILE, NativeBank, bank_forward, native_bank
from smrdsl.kernels.native_calls import compact, expect, fits, kernel
from smrdsl.kernels.native_second import derivable
from smrdsl.kernels.native_taps import ShortFilter

FORWARD = {name: kernel(f"gated_{name}_forward", 7, 14) for name in ("diagonal", "low_rank")}
BACKWARD = {name: kernel(f"gated_{name}_backward", 7, 24) for name in ("diagonal", "low_rank")}


def run(
    front: ShortFilter, core: Bank, strategy: str, u: Tensor, before: Tensor | None, x: Tensor | None, rate: Gap | None
) -> tuple[Tensor, Tensor] | None:
    """The outputs of a core behind a filter, and the state after them; None where no native kernel can.

    u (B, L, D), the K - 1 inputs before it or None for zeros, the state x (B, D, N) or None for zeros. From None the
    state after is not that of the core (`NativeBank.run`).
    """
    if strategy != "recurrent" or core.other is not None or not fits(u, x) or not front.fits(u, before):
        return None
    if u.shape[0] == 0 or u.shape[1] < 2:
        return None
    with in_full(u):
        key = (rate, u.dtype, x is None)
        own = remember(core.kept, "native", key, lambda: native_bank(core.system(rate, u.dtype), from_zero=x is None))
        return None if own is None else gated(front, own, u, before, x)


def gated(
    front: ShortFilter, own: NativeBank, u: Tensor, before: Tensor | None, x: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The same for a system as the kernels take it."""
    given = (u, before, front.taps, front.bias, x, own.a, own.b, own.c, own.d, own.left, own.right)
    keep = torch.is_grad_enabled() and any(p is not None and p.requires_grad for p in given)
    y, after, _ = torch.ops.smrdsl.gated_bank(*given, front.number, own.kind, keep)
    return y, after


def composed(
    u: Tensor,
    before: Tensor | None,
    taps: Tensor,
    bias: Tensor | None,
    x: Tensor | None,
    *system: Tensor | None,
    gate: int,
    kind: int,
) -> tuple[Tensor, Tensor]:
    """The same of the two operators that it stands for."""
    v = native_taps.composed(u, before, taps, bias, number=gate)
    y, after, _ = bank_forward(v, x, *system, kind, False, True)  # type: ignore[arg-type]
    return y, after


# --- the two operators

FRONT = "Tensor u, Tensor? before, Tensor taps, Tensor? bias"
SYSTEM = "Tensor a, Tensor? b, Tensor c, Tensor? d, Tensor? left, Tensor? right"
NAME = "smrdsl::gated_bank"
BACK = f"{NAME}_backward"
library.define(NAME, f"({FRONT}, Tensor? x, {SYSTEM}, int gate, int kind, bool keep) -> (Tensor, Tensor, Tensor)")
library.define(
    BACK,
    f"({FRONT}, {SYSTEM}, Tensor kept, Tensor dy, Tensor dafter, int gate, int kind) -> ({', '.join(['Tensor'] * 11)})",
)


def sizes(u: Tensor, taps: Tensor, a: Tensor, gate: int, kind: int) -> tuple[int, ...]:
    return kind, *u.shape, a.shape[1], gate, taps.shape[1]


def name_of(left: Tensor | None) -> str:
    return "diagonal" if left is None else "low_rank"


@library.impl(NAME, "cpu")
def forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The outputs, the state after them and, to `keep` for the way back, the states before every tile."""
    *given, gate, kind, keep = arguments
    u, _, taps, _, _, a, *_, left, _ = given
    y, after, kept = like_forward(*arguments)
    made = y, after, kept if keep else None
    FORWARD[name_of(left)](*sizes(u, taps, a, gate, kind), *map(compact, given), *made)
    return y, after, kept


@library.register_fake(NAME)
def like_forward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    u, before, taps, bias, x, a, b, c, d, left, right, _, kind, keep = arguments
    (batch, length, channels), states = u.shape, a.shape[1]
    expect(before, batch, taps.shape[1] - 1, channels)
    expect(taps, channels, min(taps.shape[1], FEW_TAPS))
    expect(x, batch, channels, states)
    for numbers in (bias, d):
        expect(numbers, channels)
    for numbers in (a, b, c):
        expect(numbers, channels, states)
    for side in (left, right):
        expect(side, channels, kind, states)
    kept = (batch, (length + TILE - 1) // TILE, states, (channels + LANES - 1) // LANES * LANES) if keep else (0,)
    return u.new_empty(u.shape), u.new_empty(batch, channels, states), u.new_empty(kept)


@library.impl(BACK, "cpu")
def backward(*arguments: Any) -> tuple[Tensor, ...]:
    """Gradients of u, before, taps, bias, x, a, b, c, d, left and right; empty where there is no such thing."""
    *given, gate, kind = arguments
    u, _, taps, _, a, *_ = given
    found = like_backward(*arguments)
    BACKWARD[name_of(given[8])](*sizes(u, taps, a, gate, kind), *map(compact, given), *found)
    return found


@library.register_fake(BACK)
def like_backward(*arguments: Any) -> tuple[Tensor, ...]:
    u, before, taps, bias, a, b, c, d, left, right, _, _, dafter, *_ = arguments
    parts = (u, before, taps, bias, dafter, a, b, c, d, left, right)
    return tuple(u.new_empty((0,) if p is None else p.shape) for p in parts)


def remember_inputs(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *given, gate, kind, _ = inputs
    ctx.way = {"gate": gate, "kind": kind}
    ctx.save_for_backward(*given, output[2])
    ctx.mark_non_differentiable(output[2])


def gradients(ctx: Any, dy: Tensor, dafter: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    *given, kept = ctx.saved_tensors
    front, system, way = given[:4], given[5:], ctx.way.values()
    with in_full(dy):  # `backward` may be called inside of autocast
        if torch.is_grad_enabled():
            again = partial(composed, **ctx.way)
            return *derivable(again, given, ctx.needs_input_grad[: len(given)], (dy, dafter)), None, None, None
        if not kept.numel():  # it was not foreseen that gradients would be asked for
            kept = torch.ops.smrdsl.gated_bank(*given, *way, True)[2]
        found = torch.ops.smrdsl.gated_bank_backward(*front, *system, kept, dy, dafter, *way)
    return *(None if p is None else g for p, g in zip(given, found, strict=True)), None, None, None


library.register_autograd(NAME, gradients, setup_context=remember_inputs)
