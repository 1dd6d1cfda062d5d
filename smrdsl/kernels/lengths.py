"""Padded batches: sequences of several lengths in one tensor, each at its start, with anything behind its end.

What stands behind an end, NaN included, must reach neither a value nor a gradient. So it is left out by `torch.where`:
a product with 0 would keep NaN. Axes: B batch, L time, and any others; `lengths` is (B), from 0 to L.
"""

from __future__ import annotations

import torch
from torch import Tensor


def valid(lengths: Tensor, length: int) -> Tensor:
    """Which times belong to their sequence, (B, length), booleans."""
    return torch.arange(length, device=lengths.device) < lengths.unsqueeze(-1)


def silence(x: Tensor, lengths: Tensor) -> Tensor:
    """x (B, L, ...) with zeros behind the end of each sequence."""
    return torch.where(over(valid(lengths, x.shape[lengths.dim()]), x), x, torch.zeros((), dtype=x.dtype))


def put_out(x: Tensor, dt: Tensor | None, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
    """A padded stream with zeros, and its gaps with 1, behind the end of each sequence."""
    return silence(x, lengths), None if dt is None else torch.where(valid(lengths, dt.shape[-1]), dt, 1.0)


def reverse(x: Tensor, lengths: Tensor) -> Tensor:
    """x (B, L, ...) with each sequence turned round by itself; the padding stays where it is."""
    t = torch.arange(x.shape[1], device=x.device)
    last = lengths[:, None] - 1
    source = torch.where(t <= last, last - t, t)
    return x.gather(1, over(source, x).expand(x.shape))


def turned(dt: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The gaps (B, L) before the samples of a reversed sequence: those that lie behind them in dt, newest first.

    Nothing is behind the last sample, whose gap is 1, as in S5's irregular sampling: [1, dt_{L-1}, ..., dt_1].
    """
    end = dt.shape[1] if lengths is None else lengths[:, None]
    behind = torch.where(torch.arange(1, dt.shape[1] + 1, device=dt.device) < end, dt.roll(-1, 1), 1.0)
    return behind.flip(1) if lengths is None else reverse(behind, lengths)


def over(times: Tensor, x: Tensor) -> Tensor:
    """What is told per time, (B, L), with an axis for each further one of x (B, L, ...)."""
    return times.reshape(*times.shape, *(1,) * (x.dim() - times.dim()))
