"""A bank of complex modes (`modes.py`) by Triton: tiles of time side by side, and the state from tile to tile.

    leave    what each tile leaves by itself, and the product of its a
    carry    the state before each tile
    run      the states of each tile

The gradient of v is the same recurrence from the other end (`ADJOINT`), with the conjugate of a and before it is
multiplied; that of a is g_t conj(x_{t-1}), summed by tile where a is the same at all times.
"""

from __future__ import annotations

# pyright: basic, reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false, reportAssignmentType=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportReturnType=false, reportGeneralTypeIssues=false
import torch
import triton
import triton.language as tl
from torch import Tensor

from smrdsl.kernels import native_bank, triton_common
from smrdsl.kernels.triton_common import count, product, tile_at, time_at


def forward(
    varying: int, pitch: int, batch: int, length: int, modes: int,
    v: Tensor, x: Tensor, re: Tensor, im: Tensor, states: Tensor,
) -> None:  # fmt: skip
    """As `modes_forward` of `native_modes`."""
    if v.numel():
        through(pitch, (length, modes), False, batch, v, x, re, im, states, None, None, None)


def backward(
    varying: int, pitch: int, batch: int, length: int, modes: int,
    states: Tensor, x: Tensor, re: Tensor, im: Tensor, dstates: Tensor,
    dv: Tensor, dx: Tensor, dre: Tensor, dim: Tensor,
) -> None:  # fmt: skip
    """As `modes_backward` of `native_modes`."""
    if not dv.numel():
        for sums in (dx, dre, dim):
            sums.zero_()
        return
    sums = None if varying else dv.new_empty(2, batch, count(length, native_bank.TILE), modes)
    into = (dre, dim) if sums is None else tuple(sums.unbind(0))
    through(pitch, (length, modes), True, batch, dstates, x, re, im, dv, dx, states, into)
    if sums is not None:
        for whole, own in zip((dre, dim), sums.sum(2), strict=True):
            whole.copy_(own)


def through(
    pitch: int, sizes: tuple[int, int], adjoint: bool, batch: int,
    v: Tensor, x: Tensor, re: Tensor, im: Tensor, out: Tensor,
    dx: Tensor | None, states: Tensor | None, da: tuple[Tensor, ...] | None,
) -> None:  # fmt: skip
    """The three kernels, or the adjoint ones, which take the states and leave dx and da too."""
    length, modes = sizes
    width, tiles = triton_common.WIDTH, count(length, native_bank.TILE)
    blocks = count(modes, width)
    known = {"TILE": native_bank.TILE, "ADJOINT": adjoint, "WIDTH": width, "num_warps": 1}
    carried = torch.empty(2, batch, tiles, 2 * modes, dtype=torch.float32, device=v.device)
    if tiles > 1:
        leave[batch * (tiles - 1), blocks](v, re, im, pitch, carried[0], carried[1], length, modes, tiles, **known)
    carry[batch, blocks](None if adjoint else x, carried[0], carried[1], length, modes, tiles, **known)
    dre, dim = (None, None) if da is None else da
    run[batch * tiles, blocks](
        v, re, im, pitch, carried[0], out, x, dx, states, dre, dim, length, modes, tiles, SUMMED=pitch == 0, **known
    )


@triton.jit
def pair(at, place, step, there):
    """A complex number whose imaginary part lies `step` further on."""
    re = tl.load(at + place, mask=there, other=0.0).to(tl.float32)
    return re, tl.load(at + place + step, mask=there, other=0.0).to(tl.float32)


@triton.jit
def store(at, place, step, re, im, there):
    tl.store(at + place, re, mask=there)
    tl.store(at + place + step, im, mask=there)


@triton.jit
def factor(re, im, row, pitch, p, there, ADJOINT: tl.constexpr):
    """a at a time, or its conjugate."""
    a_re = tl.load(re + row * pitch + p, mask=there, other=0.0).to(tl.float32)
    a_im = tl.load(im + row * pitch + p, mask=there, other=0.0).to(tl.float32)
    return a_re, -a_im if ADJOINT else a_im


@triton.jit
def leave(
    v, re, im, pitch, left, across, length, modes, tiles,
    TILE: tl.constexpr, ADJOINT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """What a tile leaves from no state, to the place of the next; and in its own place, the product of its a."""
    own = tl.program_id(0).to(tl.int64)
    sequence, place = own // (tiles - 1), own % (tiles - 1)
    p = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    there = p < modes
    tile, first, times = tile_at(place, tiles, length, TILE, ADJOINT)
    x_re, x_im = tl.zeros([WIDTH], tl.float32), tl.zeros([WIDTH], tl.float32)
    over_re, over_im = x_re + 1.0, x_im
    for i in range(0, times):
        row = sequence * length + time_at(first, i, times, ADJOINT)
        a_re, a_im = factor(re, im, row, pitch, p, there, ADJOINT)
        v_re, v_im = pair(v, row * 2 * modes + p, modes, there)
        if ADJOINT:
            x_re, x_im = product(a_re, a_im, x_re + v_re, x_im + v_im, True)
        else:
            x_re, x_im = product(a_re, a_im, x_re, x_im, True)
            x_re, x_im = x_re + v_re, x_im + v_im
        over_re, over_im = product(a_re, a_im, over_re, over_im, True)
    row = sequence * tiles + tile
    store(across, row * 2 * modes + p, modes, over_re, over_im, there)
    row += -1 if ADJOINT else 1
    store(left, row * 2 * modes + p, modes, x_re, x_im, there)


@triton.jit
def carry(
    x, left, across, length, modes, tiles,
    TILE: tl.constexpr, ADJOINT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """From the state x, or none, and what tiles leave, the states before them, in their places."""
    sequence = tl.program_id(0).to(tl.int64)
    p = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    there = p < modes
    if x is None:
        x_re, x_im = tl.zeros([WIDTH], tl.float32), tl.zeros([WIDTH], tl.float32)
    else:
        x_re, x_im = pair(x, sequence * 2 * modes + p, modes, there)
    for place in range(0, tiles):
        tile, _, _ = tile_at(place, tiles, length, TILE, ADJOINT)
        at = (sequence * tiles + tile) * 2 * modes + p
        if place > 0:
            left_re, left_im = pair(left, at, modes, there)
            x_re, x_im = x_re + left_re, x_im + left_im
        store(left, at, modes, x_re, x_im, there)
        if place < tiles - 1:
            over_re, over_im = pair(across, at, modes, there)
            x_re, x_im = product(over_re, over_im, x_re, x_im, True)


@triton.jit
def run(
    v, re, im, pitch, before, out, start, dx, states, dre, dim, length, modes, tiles,
    TILE: tl.constexpr, ADJOINT: tl.constexpr, WIDTH: tl.constexpr, SUMMED: tl.constexpr,
):  # fmt: skip
    """The states of a tile; in the adjoint, the gradients of v, of a and, from the last tile, of the first state."""
    own = tl.program_id(0).to(tl.int64)
    sequence, place = own // tiles, own % tiles
    p = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    there = p < modes
    tile, first, times = tile_at(place, tiles, length, TILE, ADJOINT)
    x_re, x_im = pair(before, (sequence * tiles + tile) * 2 * modes + p, modes, there)
    sum_re, sum_im = tl.zeros([WIDTH], tl.float32), tl.zeros([WIDTH], tl.float32)
    for i in range(0, times):
        t = time_at(first, i, times, ADJOINT)
        row = sequence * length + t
        a_re, a_im = factor(re, im, row, pitch, p, there, ADJOINT)
        v_re, v_im = pair(v, row * 2 * modes + p, modes, there)
        if not ADJOINT:
            x_re, x_im = product(a_re, a_im, x_re, x_im, True)
        x_re, x_im = x_re + v_re, x_im + v_im
        store(out, row * 2 * modes + p, modes, x_re, x_im, there)
        if ADJOINT:
            # The state before, which for the first time of all is the one that was given.
            h_re, h_im = pair(states, (row - 1) * 2 * modes + p, modes, there & (t > 0))
            s_re, s_im = pair(start, sequence * 2 * modes + p, modes, there & (t == 0))
            g_re, g_im = product(h_re + s_re, -(h_im + s_im), x_re, x_im, True)
            if SUMMED:
                sum_re, sum_im = sum_re + g_re, sum_im + g_im
            else:
                tl.store(dre + row * modes + p, g_re, mask=there)
                tl.store(dim + row * modes + p, g_im, mask=there)
            x_re, x_im = product(a_re, a_im, x_re, x_im, True)
    if ADJOINT:
        if SUMMED:
            tl.store(dre + (sequence * tiles + tile) * modes + p, sum_re, mask=there)
            tl.store(dim + (sequence * tiles + tile) * modes + p, sum_im, mask=there)
        if place == tiles - 1:
            store(dx, sequence * 2 * modes + p, modes, x_re, x_im, there)
