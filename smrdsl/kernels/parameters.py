"""Parameters of the cores, as they are stored and as the kernels take them.

A complex tensor is stored as (..., 2), real and imaginary part, and taken as a pair of tensors in wide precision. Rows
of the S copies are repeated over the H channels: channel h has row h % S.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from smrdsl.kernels.initial import Draw, fill, fill_normal
from smrdsl.kernels.powers import wide
from smrdsl.kernels.transition import Pair


def steps_of(log_dt: Tensor) -> Tensor:
    """(H) -> the steps (H, 1, 1)."""
    return torch.exp(wide(log_dt))[:, None, None]


def lambda_of(log_real: Tensor, imag: Tensor, channels: int) -> Pair:
    """(S, N/2) -> Lambda = -exp(log_real) - i imag, (H, 1, N/2)."""
    return over_channels(-torch.exp(wide(log_real)), channels), over_channels(-wide(imag), channels)


def pair_of(stored: Tensor, channels: int) -> Pair:
    """(..., S, N/2, 2) -> (..., H, 1, N/2)"""
    re, im = wide(stored).unbind(-1)
    return over_channels(re, channels), over_channels(im, channels)


def over_channels(rows: Tensor, channels: int) -> Tensor:
    """(..., S, n) -> (..., H, 1, n), or (..., 1, 1, n) for a single row, which broadcasts."""
    copies = rows.shape[-2]
    if copies not in (1, channels):
        rows = torch.cat([rows] * (channels // copies), -2)
    return rows.unsqueeze(-2)


def reading_of(stored: Tensor, copies: int = 2) -> Tensor:
    """C (..., H, N/2, 2) -> the real rows (..., H, 1, N) with c . [Re x; Im x] = 2 Re(C x).

    `copies` is 2 because the state stands for its conjugate too, and 1 where it does not: Re(C x).
    """
    re, im = wide(stored).unbind(-1)
    return torch.cat([copies * re, -copies * im], -1).unsqueeze(-2)


@torch.no_grad()
def fill_steps(log_dt: Tensor, low: float, high: float, generator: torch.Generator) -> None:
    """Log-uniform in low .. high."""
    share = torch.rand(log_dt.shape, dtype=log_dt.dtype, generator=generator)
    fill(log_dt, math.log(low) + (math.log(high) - math.log(low)) * share)


def fill_outputs(c: Tensor, d: Tensor | None, draw: Draw) -> None:
    """C complex normal, of which each part has variance 1/2, and D normal."""
    fill_normal(c, math.sqrt(0.5), draw("C"))
    if d is not None:
        fill_normal(d, 1.0, draw("D"))
