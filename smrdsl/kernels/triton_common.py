"""What kernels of Triton share: complex numbers as pairs, the order of tiles of time, and functions of one number.

A sequence is cut into tiles of time. Forward the tiles come as they lie, for gradients (`ADJOINT`) from the last to the
first, and so do the times of each.
"""

from __future__ import annotations

# pyright: basic, reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false, reportAssignmentType=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportReturnType=false, reportGeneralTypeIssues=false
import triton
import triton.language as tl

WIDTH = 32
"""Channels that one program works on: those that lie side by side in memory and are read at once."""


def warps(states: int) -> int:
    """Of a program whose every thread holds the numbers of one channel and some states, at most 16."""
    return min(8, max(1, triton.next_power_of_2(states) // 16))


def count(whole: int, part: int) -> int:
    """How many parts it takes."""
    return (whole + part - 1) // part


@triton.jit
def product(a_re, a_im, x_re, x_im, PAIRS: tl.constexpr):
    """a x, of real numbers that of the first parts."""
    if PAIRS:
        re, im = a_re * x_re - a_im * x_im, a_re * x_im + a_im * x_re
    else:
        re, im = a_re * x_re, x_im
    return re, im


@triton.jit
def tile_at(place, tiles, length, TILE: tl.constexpr, ADJOINT: tl.constexpr):
    """Of the tile that comes at a place: its number, its first time and how many times it has."""
    tile = tiles - 1 - place if ADJOINT else place
    first = tile * TILE
    return tile, first, tl.minimum(TILE, length - first)


@triton.jit
def time_at(first, i, times, ADJOINT: tl.constexpr):
    """The i-th time of a tile in the order of work."""
    return first + times - 1 - i if ADJOINT else first + i


@triton.jit
def softplus(p):
    """log(1 + e^p), and its slope; small where p is far below 0, but not 0."""
    z = tl.exp(-tl.abs(p))
    u = 1.0 + z
    log = tl.where(u == 1.0, z, tl.log(u) * z / tl.where(u == 1.0, 1.0, u - 1.0))  # of 1 + z, for a small z too
    return tl.maximum(p, 0.0, propagate_nan=tl.PropagateNan.ALL) + log, tl.where(p > 0, 1.0, z) / u


@triton.jit
def sigmoid(p):
    """1 / (1 + e^-p), and its slope: neither loses digits, to whichever side p lies."""
    z = tl.exp(-tl.abs(p))
    return tl.where(p > 0, 1.0, z) / (1.0 + z), z / ((1.0 + z) * (1.0 + z))


@triton.jit
def tangent(p):
    """tanh p, and its slope."""
    z = tl.exp(-2.0 * tl.abs(p))
    far = (1.0 - z) / (1.0 + z)
    q = p * p
    near = p * (945.0 + q * (105.0 + q)) / (945.0 + q * (420.0 + 15.0 * q))  # where 1 - z would lose digits
    return tl.where(tl.abs(p) < 0.5, near, tl.where(p < 0, -far, far)), 4.0 * z / ((1.0 + z) * (1.0 + z))
