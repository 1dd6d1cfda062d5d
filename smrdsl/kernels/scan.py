"""A whole sequence in chunks: products inside a chunk, the state from chunk to chunk.

Of T inputs u and the state s before them,

    y  = u Toeplitz(k) + s W        k_l = c . A^l b,  W_t = c A^(t + 1)
    s' = A^T s + u V                V_j = A^j b, inputs newest first

so a time-invariant system takes T + 2 N multiplications a sample, nearly all in matrix products, and one short loop
over chunks. A varying one has no such matrices: its loop is over the times of a chunk, all chunks at once, and runs
twice, for the states that chunks leave, and from the right states for the outputs.

Axes: u (B, L, H), chunks (H, B * M, T), states before them (H, B, M, N), states outside (B, H, N).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels.system import System, cut, with_skip
from smrdsl.kernels.transition import Diagonal, Transition

LONG = 2048
"""Sequences from here on are cut into chunks of 128, shorter ones of 64."""

Discretise = Callable[[Tensor], tuple[Diagonal, Tensor]]
"""Gaps (m) before samples, in steps -> A-bar and B-bar (H, m, N) of each."""


def scan(system: System, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """From the state x: the outputs (B, L, H) and the state after them, for L > 0."""
    batch, length, _ = u.shape
    log = 7 if length >= LONG else 6
    size = min(length, 1 << log)
    inside, from_state, columns = chunk_maps(system, size)
    chunks = cut(u, size, 0, -length % size)
    before = x.transpose(0, 1).contiguous().unsqueeze(2)
    if length > size:
        left = by_chunk(chunks @ columns, batch)
        before = carry(system.powers.square(log, u.dtype), left, x.transpose(0, 1))
    y = (chunks @ inside).baddbmm_(before.flatten(1, 2), from_state)
    rest = length - (before.shape[2] - 1) * size
    tail = u[:, length - rest :].flip(1).permute(2, 0, 1) @ columns[:, :rest]
    x = system.powers.advance(before[:, :, -1], rest) + tail
    return join(y, batch)[:, :length], x.transpose(0, 1)


def chunk_maps(system: System, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """For inputs newest first: Toeplitz(k) (H, T, T), W (H, N, T) and V (H, T, N), T = size."""
    columns = system.powers.orbit(system.b, size)
    k = with_skip((columns @ system.c.mT).squeeze(2), system.d)
    row = system.powers.square(0, k.dtype, transposed=True).apply(system.c)
    rows = system.powers.orbit(row, size, transposed=True)
    # Windows of the kernel that slide by one, the newest input's first: it meets k_0 at the last time only.
    inside = F.pad(k, (size - 1, 0)).unfold(1, size, 1).contiguous()
    return inside, rows.mT, columns


def join(y: Tensor, batch: int) -> Tensor:
    """(H, B * M, T) -> (B, M * T, H)"""
    return y.reshape(y.shape[0], batch, -1).permute(1, 2, 0)


def by_chunk(z: Tensor, batch: int) -> tuple[Tensor, ...]:
    """(H, B * M, N) -> M of (H, B, N)"""
    return z.unflatten(1, (batch, -1)).unbind(2)


def carry(a: Transition, left: tuple[Tensor, ...], x: Tensor) -> Tensor:
    """The states before each chunk, (H, B, M, N), from those which chunks leave by themselves; `a` crosses a chunk."""
    before = [x]
    for z in left[:-1]:
        before.append(a.next(before[-1], z))
    return torch.stack(before, 2)


def scan_varying(discretise: Discretise, c: Tensor, u: Tensor, gaps: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The same, without a skip, for a system whose step is scaled by gaps (B, L)."""
    batch, length, _ = u.shape
    size = 1 << (length.bit_length() + 1) // 2
    # A gap of 0 with an input of 0 leaves a state as it is.
    inputs = cut(u, size, 0, -length % size).flip(2).unsqueeze(-1).unbind(2)
    times = F.pad(gaps, (0, -length % size)).view(-1, size).unbind(1)

    across, left = discretise(times[0])
    left = left * inputs[0]
    for u_t, gap in zip(inputs[1:], times[1:], strict=True):
        a, b = discretise(gap)
        across, left = a.after(across), a.apply(left).addcmul_(b, u_t)

    before = [x.transpose(0, 1)]
    for same, cross, z in zip(*(by_chunk(t, batch) for t in (across.same, across.cross, left)), strict=True):
        before.append(Diagonal(same, cross).next(before[-1], z))

    s, outputs = torch.stack(before[:-1], 2).flatten(1, 2), []
    for u_t, gap in zip(inputs, times, strict=True):
        a, b = discretise(gap)
        s = a.apply(s).addcmul_(b, u_t)
        outputs.append((s * c).sum(-1))
    return join(torch.stack(outputs, 2), batch)[:, :length], before[-1].transpose(0, 1)
