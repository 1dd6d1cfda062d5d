"""How the cores that layers share write their native step: one system for each channel, and one for all of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from smrdsl.kernels.core import Core
from smrdsl.kernels.fixed import Fixed
from smrdsl.kernels.mimo import Mimo
from smrdsl.kernels.step_layout import in_blocks
from smrdsl.kernels.step_program import FUNCTIONS, Slot, StepProgram, Stream
from smrdsl.kernels.system import System
from smrdsl.kernels.transition import Diagonal, LowRank, RealDiagonal

MOST_RANKS = 4
"""As in step_cores.h."""
LOG2_E = 1.0 / math.log(2.0)
"""The kernel takes powers of 2."""


def write_bank(program: StepProgram, core: Core | Fixed, u: Stream, slot: Slot) -> Stream | None:
    """One sample through one system for each channel, as it was trained; None for a transition that is dense."""
    s = core.system(None, torch.float32)
    columns = columns_of(s)
    if columns is None:
        return None
    parts = 1 if isinstance(s.a, RealDiagonal) else 2
    count, width, states = columns.shape
    packed = in_blocks(columns).permute(1, 2, 0, 3)  # (columns, blocks, N, BLOCK) -> (blocks, N, columns, BLOCK)
    y, kept, d, x = program.stream(width), program.keep(packed), program.keep(s.d), slot.blocks()
    rank = (count // parts - 3) // 2
    program.write("system", y, u, kept, d, x, width, states, parts, rank, work=width * states * count)
    return y


def columns_of(s: System) -> Tensor | None:
    """(columns, H, N or N/2): a, b, c and for each rank left and right, all of them by their parts."""
    a, ranks = s.a, []
    if isinstance(a, LowRank):
        if a.left.shape[1] != 1 or a.left.shape[2] > MOST_RANKS:
            return None
        ranks = [side[:, 0, r] for r in range(a.left.shape[2]) for side in (a.left, a.right)]
        a = a.diagonal
    if isinstance(a, RealDiagonal):
        rows, parts = [a.factors, s.b, s.c], 1
    elif isinstance(a, Diagonal):
        rows, parts = [torch.cat([a.same.chunk(2, -1)[0], a.cross.chunk(2, -1)[1]], -1), s.b, s.c], 2
    else:
        return None
    width = max(row.shape[0] for row in rows)
    wide = [row.squeeze(1).expand(width, -1) for row in rows] + [row.expand(width, -1) for row in ranks]
    return torch.stack([part for row in wide for part in row.chunk(parts, -1)])


def write_mimo(program: StepProgram, system: Mimo, u: Stream, slot: Slot) -> Stream:
    """One sample through a system of many inputs and outputs: B u, its modes, and C x + d u."""
    modes, b = system.sampled(None, torch.float32)
    half = b.shape[1] // 2
    v, x = program.linear(u, b.t()), slot.rows()
    re, im = program.keep(modes.step.same.expand(2 * half)[:half]), program.keep(modes.step.cross[half:])
    program.write("modes", x, v, re, im, half, work=8 * half)
    onto = None if system.d is None else program.affine(u, system.d)
    return program.linear(x, system.c.t(), onto=onto)


def write_selective(
    program: StepProgram, streams: tuple[Stream, ...], bias: Tensor, a: Tensor, d: Tensor | None, slot: Slot
) -> Stream:
    """One sample through a selective scan: streams x, delta (D), b and c (N), bias and d (D), a (D, N)."""
    x, delta, b, c = streams
    y, h, (width, states) = program.stream(x.width), slot.blocks(), a.shape
    kept = program.keep(bias), program.keep(in_blocks(a * LOG2_E)), program.keep(d)
    program.write("selective", y, x, delta, b, c, *kept, h, width, states, work=8 * width * states)
    return y


def write_heads(
    program: StepProgram,
    streams: tuple[Stream, ...],
    bias: Tensor,
    a: Tensor,
    d: Tensor | None,
    slot: Slot,
    *,
    groups: int,
    limit: tuple[float, float] | None,
) -> Stream:
    """One sample through a scan over heads: streams x (H P), b and c (groups N), delta (H), and for each head a and d.

    `limit` is what steps are kept in.
    """
    x, b, c, delta = streams
    count, head, states = slot.shape
    y, h, (low, high) = program.stream(x.width), slot.blocks(), limit or (-math.inf, math.inf)
    kept = program.keep(bias), program.keep(a * LOG2_E), program.keep(d)
    sizes = count, head, states, groups, float(low), float(high)
    program.write("heads", y, x, delta, b, c, *kept, h, *sizes, work=3 * count * head * states)
    return y


def write_taps(
    program: StepProgram, x: Stream, taps: Tensor, bias: Tensor | None, gate: str | None, slot: Slot
) -> Stream:
    """One sample through a convolution of each channel by itself, taps (D, K), and a gate of it."""
    width, count = taps.shape
    y, kept, inputs = program.stream(width), (program.keep(taps.t()), program.keep(bias)), slot.plain()
    function = FUNCTIONS.index(gate or "identity")
    program.write("taps", y, x, *kept, inputs, width, count, int(gate is not None), function, work=2 * width * count)
    return y


def write_convolution(program: StepProgram, x: Stream, weight: Tensor, bias: Tensor | None, slot: Slot) -> Stream:
    """One sample through a convolution over all channels, weight (out, D, K): a product for each input that counts."""
    seen, past = slot.rows(), weight.shape[2] - 1
    y = program.linear(x, weight[:, :, past], bias)
    for k, before in enumerate(seen.split(*[x.width] * past)):
        program.linear(before, weight[:, :, k], onto=y)
    program.write("shift", x, slot.kept, x.width, past, work=past * x.width)
    return y
