"""A selective scan by Triton, with its steps and its skip: tiles of time side by side, the state from tile to tile.

    leave    what each tile leaves by itself, and the sum of its steps, of which exp(sum A) is what it decays
    carry    the state before each tile
    read     the outputs of each tile

What the numbers are is in `native_selective.py`. Each program holds the states of some channels and goes through the
times of a tile; `leave` and `carry` serve the way back too (`ADJOINT`), which is in `triton_selective_back.py`.
"""

from __future__ import annotations

# pyright: basic, reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false, reportAssignmentType=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportReturnType=false, reportGeneralTypeIssues=false
import torch
import triton
import triton.language as tl
from torch import Tensor

from smrdsl.kernels import native_bank, triton_common
from smrdsl.kernels.triton_common import count, softplus, tile_at, time_at, warps

FEW = 8
"""States that a program of `carry` works on."""


def forward(decay: int, batch: int, length: int, channels: int, states: int, *tensors: Tensor | None) -> None:
    """As `selective_forward` of `native_selective`."""
    x, delta, bias, gaps, a, b, c, d, h, y, after, kept = tensors
    assert x is not None
    assert h is not None
    assert after is not None
    if not length:
        after.copy_(h)
    if not x.numel():
        return
    if kept is None:
        places = count(channels, native_bank.LANES) * native_bank.LANES
        kept = torch.empty(batch, count(length, native_bank.TILE), states, places, dtype=torch.float32, device=x.device)
    steps = (x, delta, bias, gaps, a)
    before_tiles(decay, False, (length, channels, states), steps, x, b, h, kept)
    tiles, width, size = kept.shape[1], triton_common.WIDTH, triton.next_power_of_2(states)
    read[batch * tiles, count(channels, width)](
        *steps, b, c, d, kept, y, after, length, channels, states, tiles, kept.shape[3],
        DECAY=decay, TILE=native_bank.TILE, WIDTH=width, N=size, num_warps=warps(size),
    )  # fmt: skip


def before_tiles(
    decay: int, adjoint: bool, sizes: tuple[int, int, int], steps: tuple[Tensor | None, ...],
    stream: Tensor, rows: Tensor | None, h: Tensor, kept: Tensor,
) -> None:  # fmt: skip
    """To `kept`, the states before tiles: of x and b or, in the adjoint, of dy and c."""
    batch, tiles, states, places = kept.shape
    width, size = triton_common.WIDTH, triton.next_power_of_2(states)
    blocks, few = count(sizes[1], width), min(FEW, size)
    sums = torch.empty(batch, tiles, sizes[1], dtype=torch.float32, device=stream.device)
    known = {"TILE": native_bank.TILE, "ADJOINT": adjoint, "WIDTH": width}
    if tiles > 1:
        leave[batch * (tiles - 1), blocks](
            *steps, stream, rows, kept, sums, *sizes, tiles, places, DECAY=decay, **known, N=size, num_warps=warps(size)
        )
    carry[batch, blocks, count(states, few)](
        h, steps[-1], kept, sums, *sizes, tiles, places, **known, N=few, num_warps=1
    )


@triton.jit
def indices(channels, states, place, block, WIDTH: tl.constexpr, N: tl.constexpr):
    """Of a program's states (N, WIDTH): states, channels, and which of them are there."""
    n = (place * N + tl.arange(0, N))[:, None]
    h = (block * WIDTH + tl.arange(0, WIDTH))[None, :]
    return n, h, (n < states) & (h < channels)


@triton.jit
def matrix(a, n, h, states, there):
    """A, the states first."""
    return tl.load(a + h * states + n, mask=there, other=0.0).to(tl.float32)


@triton.jit
def vector(of, h, inside):
    """The number of each channel."""
    return tl.load(of + h, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def entries(rows, row, n, states):
    """b or c of a time, (N, 1)."""
    return tl.load(rows + row * states + n, mask=n < states, other=0.0).to(tl.float32)


@triton.jit
def stepped(delta, shift, gaps, row, at, h, inside):
    """Of samples: the weights w, their slopes, the gaps and the steps of the state s; `shift` is the bias."""
    given = tl.load(delta + at, mask=inside, other=0.0).to(tl.float32)
    w, slope = softplus(given + shift)
    if gaps is None:
        gap = w * 0.0 + 1.0
        s = w
    else:
        gap = tl.load(gaps + row + h * 0, mask=inside, other=0.0).to(tl.float32)
        s = gap * w
    return w, slope, gap, s


@triton.jit
def leave(
    x, delta, bias, gaps, a, stream, rows, kept, sums, length, channels, states, tiles, places,
    DECAY: tl.constexpr, TILE: tl.constexpr, ADJOINT: tl.constexpr, WIDTH: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """To the place of the state before the next tile, what a tile leaves from no state; and its sum of steps."""
    own = tl.program_id(0).to(tl.int64)
    sequence, place = own // (tiles - 1), own % (tiles - 1)
    n, h, there = indices(channels, states, 0, tl.program_id(1), WIDTH, N)
    tile, first, times = tile_at(place, tiles, length, TILE, ADJOINT)
    rates, inside = matrix(a, n, h, states, there), h < channels
    shift = vector(bias, h, inside)
    state = tl.zeros_like(rates)
    total = tl.zeros([1, WIDTH], tl.float32)
    for i in range(0, times):
        row = sequence * length + time_at(first, i, times, ADJOINT)
        at = row * channels + h
        w, _, _, s = stepped(delta, shift, gaps, row, at, h, inside)
        v = tl.load(stream + at, mask=inside, other=0.0).to(tl.float32)
        if ADJOINT:
            state = tl.exp(s * rates) * (state + v * entries(rows, row, n, states))
        else:
            v *= w if DECAY else s
            state = tl.exp(s * rates) * state + v * entries(rows, row, n, states)
        total += s
    tl.store(sums + (sequence * tiles + tile) * channels + h, total, mask=inside)
    after = tile - 1 if ADJOINT else tile + 1
    tl.store(kept + ((sequence * tiles + after) * states + n) * places + h, state, mask=there)


@triton.jit
def carry(
    start, a, kept, sums, length, channels, states, tiles, places,
    TILE: tl.constexpr, ADJOINT: tl.constexpr, WIDTH: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """From the first state and what tiles leave, the states before them, in their places."""
    sequence = tl.program_id(0).to(tl.int64)
    n, h, there = indices(channels, states, tl.program_id(2), tl.program_id(1), WIDTH, N)
    rates = matrix(a, n, h, states, there)
    state = tl.load(start + (sequence * channels + h) * states + n, mask=there, other=0.0).to(tl.float32)
    for place in range(0, tiles):
        tile, _, _ = tile_at(place, tiles, length, TILE, ADJOINT)
        at = ((sequence * tiles + tile) * states + n) * places + h
        if place > 0:
            state += tl.load(kept + at, mask=there, other=0.0)
        tl.store(kept + at, state, mask=there)
        if place < tiles - 1:
            total = tl.load(sums + (sequence * tiles + tile) * channels + h, mask=h < channels, other=0.0)
            state = tl.exp(total * rates) * state


@triton.jit
def read(
    x, delta, bias, gaps, a, b, c, d, kept, y, after, length, channels, states, tiles, places,
    DECAY: tl.constexpr, TILE: tl.constexpr, WIDTH: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    """The outputs of a tile and, from the last one, the state after all."""
    own = tl.program_id(0).to(tl.int64)
    sequence, tile = own // tiles, own % tiles
    n, h, there = indices(channels, states, 0, tl.program_id(1), WIDTH, N)
    rates, inside = matrix(a, n, h, states, there), h < channels
    shift = vector(bias, h, inside)
    skip = 0.0 if d is None else vector(d, h, inside)
    state = tl.load(kept + (own * states + n) * places + h, mask=there, other=0.0)
    for t in range(tile * TILE, tl.minimum((tile + 1) * TILE, length)):
        row = sequence * length + t
        at = row * channels + h
        w, _, _, s = stepped(delta, shift, gaps, row, at, h, inside)
        u = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        v = u * (w if DECAY else s)
        state = tl.exp(s * rates) * state + v * entries(b, row, n, states)
        out = tl.sum(state * entries(c, row, n, states), 0)[None, :]
        if d is not None:
            out += skip * u
        tl.store(y + at, out, mask=inside)
    if tile == tiles - 1:
        tl.store(after + (sequence * channels + h) * states + n, state, mask=there)
