"""The way back through a selective scan by Triton.

    g_t = c_t dy_t + e_{t+1} g_{t+1},   e_t = exp(s_t A)        the gradient of h_t
    dv_t = b_t . g_t,   db_t = sum_d v_t g_t,   dc_t = sum_d dy_t h_t
    q_t = g_t e_t h_{t-1},   ds_t = A . q_t,   dA = sum_t s_t q_t

The gradients of steps need h and g at the same time, from both ends. So a program holds all times of a tile for a few
channels, and takes one state after the other: a scan through the tile for h, one from its end for g, both from what was
kept before the tile and after it. No state is ever in memory but those. db and dc are summed over the channels of a
program, dA over the times of a tile; those sums are added up at the end, in an order that is always the same.
"""

from __future__ import annotations

# pyright: basic, reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false, reportAssignmentType=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportReturnType=false, reportGeneralTypeIssues=false
import torch
import triton
import triton.language as tl
from torch import Tensor

from smrdsl.kernels import native_bank, triton_common
from smrdsl.kernels.triton_common import count
from smrdsl.kernels.triton_selective import before_tiles, stepped, vector


def backward(decay: int, batch: int, length: int, channels: int, states: int, *tensors: Tensor) -> None:
    """As `selective_backward` of `native_selective`."""
    x, delta, bias, gaps, a, b, c, d, kept, dy, dh, dx, ddelta, dbias, da, db, dc, dd, dstart = tensors
    if not x.numel():
        dstart.copy_(dh)
        for sums in (dbias, da, db, dc, dd):
            sums.zero_()
        return
    steps, sizes = (x, delta, bias, gaps, a), (length, channels, states)
    later = torch.empty_like(kept)
    before_tiles(decay, True, sizes, steps, dy, c, dh, later)
    tiles, width = kept.shape[1], max(1, triton_common.WIDTH // 2)
    blocks = count(channels, width)
    rows = kept.new_empty(2, blocks, batch, length, states)
    parts, skips = kept.new_empty(batch * tiles, channels, states), kept.new_empty(batch * tiles, channels)
    gradients[batch * tiles, blocks](
        *steps, b, c, d, kept, later, dy, dx, ddelta, rows, parts, skips, dstart, *sizes, tiles, kept.shape[3],
        DECAY=decay, TILE=native_bank.TILE, WIDTH=width, num_warps=4,
    )  # fmt: skip
    for sums, own in zip((db, dc), rows.sum(1), strict=True):
        sums.copy_(own)
    da.copy_(parts.sum(0))
    dbias.copy_(ddelta.sum((0, 1), dtype=torch.float32))
    if d is not None:
        dd.copy_(skips.sum(0))


@triton.jit
def then(a, x, b, y):
    """First x -> a x + ..., then b: what both do to a state, as a factor and a summand."""
    return a * b, b * x + y


@triton.jit
def gradients(
    x, delta, bias, gaps, a, b, c, d, kept, later, dy, dx, ddelta, rows, parts, skips, dstart,
    length, channels, states, tiles, places,
    DECAY: tl.constexpr, TILE: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Those of one tile and some channels."""
    own = tl.program_id(0).to(tl.int64)
    sequence, tile = own // tiles, own % tiles
    block = tl.program_id(1)
    h = (block * WIDTH + tl.arange(0, WIDTH))[None, :]
    t = (tile * TILE + tl.arange(0, TILE))[:, None]
    row, now = sequence * length + t, t < length
    at, inside = row * channels + h, (h < channels) & now
    shift = vector(bias, h, h < channels)
    w, slope, gap, s = stepped(delta, shift, gaps, row, at, h, inside)
    s = tl.where(inside, s, 0.0)  # behind the end of the sequence, states stay as they are
    # The steps of the next time, of which the tile's last one knows nothing: what comes from later has passed it.
    soon = (t + 1 < length) & (t + 1 < (tile + 1) * TILE) & (h < channels)
    _, _, _, s_next = stepped(delta, shift, gaps, row + 1, at + channels, h, soon)
    s_next = tl.where(soon, s_next, 0.0)
    u = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    g_y = tl.load(dy + at, mask=inside, other=0.0).to(tl.float32)
    weight = w if DECAY else s
    v, dv, ds = u * weight, tl.zeros_like(u), tl.zeros_like(u)
    part = tl.num_programs(0).to(tl.int64) // tiles * tl.num_programs(1) * length * states
    line = (block * (tl.num_programs(0) // tiles) + sequence) * length + t
    for n in range(0, states):
        rates = tl.load(a + h * states + n, mask=h < channels, other=0.0).to(tl.float32)
        b_n = tl.load(b + row * states + n, mask=now, other=0.0).to(tl.float32)
        c_n = tl.load(c + row * states + n, mask=now, other=0.0).to(tl.float32)
        spot = (own * states + n) * places + h
        first = tl.load(kept + spot, mask=h < channels, other=0.0)
        last = tl.load(later + spot, mask=h < channels, other=0.0)
        new = v * b_n
        decay = tl.exp(s * rates)
        whole, state = tl.associative_scan((decay, new), 0, then)
        state += whole * first
        whole, g = tl.associative_scan((tl.exp(s_next * rates), c_n * g_y), 0, then, reverse=True)
        g += whole * last
        q = g * (state - new)
        dv += b_n * g
        ds += rates * q
        tl.store(rows + line * states + n, tl.sum(v * g, 1)[:, None], mask=now)
        tl.store(rows + part + line * states + n, tl.sum(g_y * state, 1)[:, None], mask=now)
        tl.store(parts + (own * channels + h) * states + n, tl.sum(s * q, 0)[None, :], mask=h < channels)
        early = tl.sum(tl.where(t == 0, decay * g, 0.0), 0)[None, :]
        tl.store(dstart + (sequence * channels + h) * states + n, early, mask=(h < channels) & (tile == 0))
    if DECAY:
        dw = gap * ds + dv * u
    else:
        dw = gap * (ds + dv * u)
    du = dv * weight
    if d is not None:
        du += vector(d, h, h < channels) * g_y
    tl.store(dx + at, du, mask=inside)
    tl.store(ddelta + at, dw * slope, mask=inside)
    tl.store(skips + own * channels + h, tl.sum(g_y * u, 0)[None, :], mask=h < channels)
