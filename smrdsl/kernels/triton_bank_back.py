"""The way back through a time-invariant diagonal system by Triton.

What reaches a state from later is the system from the other end (`triton_bank.py`), which gives the gradients of the
inputs and of the first state. Those of a, b and c then need no way back: with s_t = dx_t / da and w_t = dx_t / db,

    s_t = a s_{t-1} + x_{t-1}    w_t = a w_{t-1} + u_t    dc = sum dy_t x_t
    da = sum dy_t c conj(s_t) + e conj(s_T)    db = the same with w

from s = w = 0 before a tile, e being what reaches its last state from later tiles. So no state has to be remembered but
those before tiles. Each tile leaves sums of its own, which are added up at the end, always in the same order.
"""

from __future__ import annotations

# pyright: basic, reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false, reportAssignmentType=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportReturnType=false, reportGeneralTypeIssues=false
import torch
import triton
import triton.language as tl
from torch import Tensor

from smrdsl.kernels import native_bank, triton_common
from smrdsl.kernels.triton_bank import drive, indices, numbers, sample, store, through, transition
from smrdsl.kernels.triton_common import count, product, warps

MOST = 32
"""States that a program works on: there are many sums of each."""


def backward(pairs: int, batch: int, length: int, channels: int, states: int, backwards: int, *tensors: Tensor) -> None:
    """As `diagonal_backward` of `native_bank`."""
    u, a, b, c, d, _, _, kept, dy, dafter, du, dx, da, db, dc, dd, _, _ = tensors
    if not u.numel():
        dx.copy_(dafter)
        for sums in (da, db, dc, dd):
            sums.zero_()
        return
    later = torch.empty_like(kept)
    sizes = (length, channels, states)
    through(pairs, backwards, True, sizes, dy, dafter, a, c, b, d, du, dx, later)
    tiles, width = kept.shape[1], triton_common.WIDTH
    parts = kept.new_empty(3 if b is not None else 2, batch * tiles, states, channels)
    skips = None if d is None else kept.new_empty(batch * tiles, channels)
    rows = states // 2 if pairs else states
    size = min(MOST, triton.next_power_of_2(rows))
    gradients[batch * tiles, count(channels, width), count(rows, size)](
        u, a, b, c, kept, later, dy, parts, skips, *sizes, tiles, kept.shape[3],
        TILE=native_bank.TILE, PAIRS=pairs, WIDTH=width, BACKWARDS=backwards, N=size, num_warps=2 * warps(size),
    )  # fmt: skip
    for sums, own in zip((dc, da, db), parts.sum(1), strict=False):
        sums.copy_(own.mT)
    if skips is not None:
        dd.copy_(skips.sum(0))


@triton.jit
def gradients(
    u, a, b, c, kept, later, dy, parts, skips, length, channels, states, tiles, places,
    TILE: tl.constexpr, PAIRS: tl.constexpr, WIDTH: tl.constexpr, BACKWARDS: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """What one tile adds to the gradients of c, a and b, and of d."""
    own = tl.program_id(0).to(tl.int64)
    sequence, tile = own // tiles, own % tiles
    n, h, there, half = indices(states, channels, tl.program_id(2), tl.program_id(1), PAIRS, N, WIDTH)
    first = tile * TILE
    a_re, a_im = transition(a, n, h, states, half, there, PAIRS, False)
    b_re, b_im = drive(b, n, h, states, half, there, PAIRS)
    at = (own * states + n) * places + h
    x_re, x_im = numbers(kept, at, places, half, there, PAIRS)
    nothing = tl.zeros_like(a_re)
    s_re, s_im, w_re, w_im = nothing, nothing, nothing, nothing
    dc_re, dc_im, da_re, da_im, db_re, db_im = nothing, nothing, nothing, nothing, nothing, nothing
    dd = tl.sum(nothing, 0)[None, :]
    for t in range(first, tl.minimum(first + TILE, length)):
        spot, v = sample(u, sequence, t, length, channels, h, BACKWARDS)
        g = tl.load(dy + spot, mask=h < channels, other=0.0).to(tl.float32)
        s_re, s_im = product(a_re, a_im, s_re, s_im, PAIRS)
        s_re, s_im = s_re + x_re, s_im + x_im
        x_re, x_im = product(a_re, a_im, x_re, x_im, PAIRS)
        x_re, x_im = x_re + b_re * v, x_im + b_im * v
        dc_re, dc_im = dc_re + g * x_re, dc_im + g * x_im
        da_re, da_im = da_re + g * s_re, da_im + g * s_im
        if b is not None:
            w_re, w_im = product(a_re, a_im, w_re, w_im, PAIRS)
            w_re += v
            db_re, db_im = db_re + g * w_re, db_im + g * w_im
        dd += g * v
    c_re, c_im = drive(c, n, h, states, half, there, PAIRS)
    e_re, e_im = numbers(later, at, places, half, there, PAIRS)
    spot, part = (own * states + n) * channels + h, tl.num_programs(0).to(tl.int64) * states * channels
    store(parts, spot, channels, half, dc_re, dc_im, there, PAIRS)
    re, im = total(c_re, c_im, da_re, da_im, e_re, e_im, s_re, s_im, PAIRS)
    store(parts + part, spot, channels, half, re, im, there, PAIRS)
    if b is not None:
        re, im = total(c_re, c_im, db_re, db_im, e_re, e_im, w_re, w_im, PAIRS)
        store(parts + 2 * part, spot, channels, half, re, im, there, PAIRS)
    if skips is not None:
        tl.store(skips + own * channels + h, dd, mask=(h < channels) & (tl.program_id(2) == 0))


@triton.jit
def total(c_re, c_im, sum_re, sum_im, e_re, e_im, last_re, last_im, PAIRS: tl.constexpr):
    """c conj(sum) + e conj(last)"""
    re, im = product(sum_re, -sum_im, c_re, c_im, PAIRS)
    later_re, later_im = product(last_re, -last_im, e_re, e_im, PAIRS)
    return re + later_re, im + later_im
