"""A bank of steady systems that runs backwards in time, and two of them, one each way, over one stream.

Backwards is what is left of reversing a stream, running over it, and reversing the result: no time is turned for that.
Streams are u (B, L, H); there are no gaps, and no padding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from smrdsl.kernels.convolution import circular, from_end, period
from smrdsl.kernels.core import Bank, Gap, block_width, chosen, from_zero, in_full, in_precision, kernels_of


def backwards(bank: Bank, strategy: str, u: Tensor, rate: Gap | None) -> Tensor:
    """y_t = sum_j k_j u_{t + j}, (B, L, H)."""
    if 0 in u.shape[:2]:
        return u.clone()
    with in_full(u):
        v = in_precision(u)
        if chosen(strategy, v) != "conv":
            return from_zero(bank, strategy, v, rate, None, backwards=True).to(u.dtype)
        size = period(v.shape[1])
        blocks = zip(v.split(block_width(v), 2), kernels_of(bank, v, rate), strict=True)
        return torch.cat([circular(part, _turned(k, size), size) for part, (k,) in blocks], 2).to(u.dtype)


def both(ahead: Bank, back: Bank, u: Tensor, rate: Gap | None) -> tuple[Tensor, Tensor]:
    """y_t = sum_j k_j u_{t - j} and z_t = sum_j k'_j u_{t + j} by FFT, with one transform of u."""
    if 0 in u.shape[:2]:
        return u.clone(), u.clone()
    with in_full(u):
        v = in_precision(u)
        size, length = period(v.shape[1]), v.shape[1]
        blocks = zip(v.split(block_width(v), 2), kernels_of(ahead, v, rate), kernels_of(back, v, rate), strict=True)
        outputs = []
        for part, (k,), (later,) in blocks:
            spectrum = torch.fft.rfft(part.contiguous().transpose(1, 2), n=size)
            ways = (torch.fft.rfft(k, n=size), torch.fft.rfft(_turned(later, size), n=size))
            outputs.append([torch.fft.irfft(spectrum * way, n=size)[..., :length].transpose(1, 2) for way in ways])
        y, z = (torch.cat(parts, 2).to(u.dtype) for parts in zip(*outputs, strict=True))
        return y, z


def _turned(k: Tensor, size: int) -> Tensor:
    """k_0, k_1, ... at the places 0, -1, ... of a circle."""
    return from_end(k, size).roll(1, -1)
