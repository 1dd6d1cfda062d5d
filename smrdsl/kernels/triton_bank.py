"""A time-invariant diagonal system by Triton: tiles of time side by side, and the state from tile to tile.

    leave    the state that each tile leaves by itself
    carry    the state before each tile, one after the other: one product with A^TILE a tile
    read     the outputs of each tile from the state before it

Each program holds the states of some channels, a complex one as two real numbers, and goes through the times of a tile.
The states before tiles are what is kept for the way back. The gradient of a stream is the same system from the other
end (`ADJOINT`): it takes in dy by c, adds before it turns by the conjugate of A, and gives out by b.
"""

from __future__ import annotations

# pyright: basic, reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false, reportAssignmentType=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportReturnType=false, reportGeneralTypeIssues=false
import torch
import triton
import triton.language as tl
from torch import Tensor

from smrdsl.kernels import native_bank, triton_common
from smrdsl.kernels.triton_common import count, product, tile_at, time_at, warps

FEW = 8
"""States that a program of `carry` works on: it has little to do, but that one tile after the other."""


def forward(
    pairs: int, batch: int, length: int, channels: int, states: int, backwards: int, *tensors: Tensor | None
) -> None:
    """As `diagonal_forward` of `native_bank`."""
    u, x, a, b, c, d, _, _, y, after, kept = tensors
    assert u is not None
    assert after is not None
    if not length:
        after.zero_() if x is None else after.copy_(x)
    if not u.numel():
        return
    kept = u.new_empty(kept_shape(batch, length, channels, states), dtype=torch.float32) if kept is None else kept
    sizes = (length, channels, states)
    through(pairs, backwards, False, sizes, u, x, a, b, c, d, y, after, kept)


def kept_shape(batch: int, length: int, channels: int, states: int) -> tuple[int, int, int, int]:
    return batch, count(length, native_bank.TILE), states, count(channels, native_bank.LANES) * native_bank.LANES


def through(
    pairs: int,
    backwards: int,
    adjoint: bool,
    sizes: tuple[int, int, int],
    u: Tensor,
    x: Tensor | None,
    *parts: Tensor | None,
) -> None:
    """The three kernels; parts are a, b, c, d, y, after and kept, in the adjoint c for b and b for c."""
    a, b, c, d, y, after, kept = parts
    assert kept is not None
    batch, tiles, states, places = kept.shape
    rows = states // 2 if pairs else states
    size, width = triton.next_power_of_2(rows), triton_common.WIDTH
    blocks, few = count(sizes[1], width), min(FEW, size)
    known = {"TILE": native_bank.TILE, "PAIRS": pairs, "ADJOINT": adjoint, "WIDTH": width}
    ordered = known | {"BACKWARDS": backwards, "N": size, "num_warps": warps(size)}
    if tiles > 1:
        leave[batch * (tiles - 1), blocks](u, a, b, kept, *sizes, tiles, places, **ordered)
    carry[batch, blocks, count(rows, few)](x, a, kept, *sizes, tiles, places, **known, N=few, num_warps=1)
    read[batch * tiles, blocks](u, a, b, c, d, kept, y, after, *sizes, tiles, places, **ordered)


@triton.jit
def indices(states, channels, place, block, PAIRS: tl.constexpr, N: tl.constexpr, WIDTH: tl.constexpr):
    """Of a program's states (N, WIDTH): states, channels, which are there, and where imaginary parts begin."""
    half = states // 2 if PAIRS else states
    n = (place * N + tl.arange(0, N))[:, None]
    h = (block * WIDTH + tl.arange(0, WIDTH))[None, :]
    return n, h, (n < half) & (h < channels), half


@triton.jit
def numbers(at, place, step, half, there, PAIRS: tl.constexpr):
    """Pairs of numbers, of which the imaginary ones lie `half` steps further on."""
    re = tl.load(at + place, mask=there, other=0.0).to(tl.float32)
    im = tl.load(at + place + half * step, mask=there, other=0.0).to(tl.float32) if PAIRS else re
    return re, im


@triton.jit
def drive(b, n, h, states, half, there, PAIRS: tl.constexpr):
    """What an input is multiplied by: b, or 1."""
    if b is None:
        re = tl.where(there, 1.0, 0.0)
        im = tl.zeros_like(re)
    else:
        re, im = numbers(b, h * states + n, 1, half, there, PAIRS)
    return re, im


@triton.jit
def transition(a, n, h, states, half, there, PAIRS: tl.constexpr, ADJOINT: tl.constexpr):
    re, im = numbers(a, h * states + n, 1, half, there, PAIRS)
    return re, -im if ADJOINT else im


@triton.jit
def store(at, place, step, half, re, im, there, PAIRS: tl.constexpr):
    tl.store(at + place, re, mask=there)
    if PAIRS:
        tl.store(at + place + half * step, im, mask=there)


@triton.jit
def sample(u, b, t, length, channels, h, BACKWARDS: tl.constexpr):
    """Where the samples of a time lie, and themselves, (1, WIDTH)."""
    row = length - 1 - t if BACKWARDS else t
    at = (b * length + row) * channels + h
    return at, tl.load(u + at, mask=h < channels, other=0.0).to(tl.float32)


@triton.jit
def leave(
    u, a, b, kept, length, channels, states, tiles, places,
    TILE: tl.constexpr, PAIRS: tl.constexpr, ADJOINT: tl.constexpr, WIDTH: tl.constexpr,
    BACKWARDS: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """To the place of the state before the next tile, what a tile leaves from the zero state."""
    own = tl.program_id(0).to(tl.int64)
    sequence, place = own // (tiles - 1), own % (tiles - 1)
    n, h, there, half = indices(states, channels, 0, tl.program_id(1), PAIRS, N, WIDTH)
    tile, first, times = tile_at(place, tiles, length, TILE, ADJOINT)
    a_re, a_im = transition(a, n, h, states, half, there, PAIRS, ADJOINT)
    b_re, b_im = drive(b, n, h, states, half, there, PAIRS)
    x_re, x_im = tl.zeros_like(a_re), tl.zeros_like(a_re)
    for i in range(0, times):
        _, v = sample(u, sequence, time_at(first, i, times, ADJOINT), length, channels, h, BACKWARDS)
        if ADJOINT:
            x_re, x_im = product(a_re, a_im, x_re + b_re * v, x_im + b_im * v, PAIRS)
        else:
            x_re, x_im = product(a_re, a_im, x_re, x_im, PAIRS)
            x_re, x_im = x_re + b_re * v, x_im + b_im * v
    after = tile - 1 if ADJOINT else tile + 1
    store(kept, ((sequence * tiles + after) * states + n) * places + h, places, half, x_re, x_im, there, PAIRS)


@triton.jit
def power(a_re, a_im, times, PAIRS: tl.constexpr):
    """a^times, in wide precision: what carries states over all tiles must be right in all its digits."""
    w_re, w_im = a_re.to(tl.float64), a_im.to(tl.float64)
    p_re, p_im = w_re, w_im
    for _ in range(1, times):
        p_re, p_im = product(w_re, w_im, p_re, p_im, PAIRS)
    return p_re.to(tl.float32), p_im.to(tl.float32)


@triton.jit
def carry(
    x, a, kept, length, channels, states, tiles, places,
    TILE: tl.constexpr, PAIRS: tl.constexpr, ADJOINT: tl.constexpr, WIDTH: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """From the state x and what tiles leave, the states before them, in their places."""
    sequence = tl.program_id(0).to(tl.int64)
    n, h, there, half = indices(states, channels, tl.program_id(2), tl.program_id(1), PAIRS, N, WIDTH)
    a_re, a_im = transition(a, n, h, states, half, there, PAIRS, ADJOINT)
    if x is None:
        x_re, x_im = tl.zeros_like(a_re), tl.zeros_like(a_re)
    else:
        x_re, x_im = numbers(x, (sequence * channels + h) * states + n, 1, half, there, PAIRS)
    tile, _, times = tile_at(0, tiles, length, TILE, ADJOINT)
    store(kept, ((sequence * tiles + tile) * states + n) * places + h, places, half, x_re, x_im, there, PAIRS)
    over_re, over_im = power(a_re, a_im, times, PAIRS)
    whole_re, whole_im = power(a_re, a_im, TILE, PAIRS)
    for place in range(1, tiles):
        tile, _, _ = tile_at(place, tiles, length, TILE, ADJOINT)
        at = ((sequence * tiles + tile) * states + n) * places + h
        left_re, left_im = numbers(kept, at, places, half, there, PAIRS)
        x_re, x_im = product(over_re, over_im, x_re, x_im, PAIRS)
        x_re, x_im = x_re + left_re, x_im + left_im
        store(kept, at, places, half, x_re, x_im, there, PAIRS)
        over_re, over_im = whole_re, whole_im


@triton.jit
def read(
    u, a, b, c, d, kept, y, after, length, channels, states, tiles, places,
    TILE: tl.constexpr, PAIRS: tl.constexpr, ADJOINT: tl.constexpr, WIDTH: tl.constexpr,
    BACKWARDS: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """The outputs of a tile and, from the last one, the state after all."""
    own = tl.program_id(0).to(tl.int64)
    sequence, place = own // tiles, own % tiles
    n, h, there, half = indices(states, channels, 0, tl.program_id(1), PAIRS, N, WIDTH)
    tile, first, times = tile_at(place, tiles, length, TILE, ADJOINT)
    a_re, a_im = transition(a, n, h, states, half, there, PAIRS, ADJOINT)
    b_re, b_im = drive(b, n, h, states, half, there, PAIRS)
    c_re, c_im = drive(c, n, h, states, half, there, PAIRS)
    at = ((sequence * tiles + tile) * states + n) * places + h
    x_re, x_im = numbers(kept, at, places, half, there, PAIRS)
    skip = 0.0 if d is None else tl.load(d + h, mask=h < channels, other=0.0).to(tl.float32)
    for i in range(0, times):
        spot, v = sample(u, sequence, time_at(first, i, times, ADJOINT), length, channels, h, BACKWARDS)
        if not ADJOINT:
            x_re, x_im = product(a_re, a_im, x_re, x_im, PAIRS)
        x_re, x_im = x_re + b_re * v, x_im + b_im * v
        seen = c_re * x_re + c_im * x_im if PAIRS else c_re * x_re
        out = tl.sum(seen, 0)[None, :]
        if d is not None:
            out += skip * v
        tl.store(y + spot, out, mask=h < channels)
        if ADJOINT:
            x_re, x_im = product(a_re, a_im, x_re, x_im, PAIRS)
    if place == tiles - 1:
        store(after, (sequence * channels + h) * states + n, 1, half, x_re, x_im, there, PAIRS)
