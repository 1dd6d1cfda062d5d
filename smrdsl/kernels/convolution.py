"""Convolution by FFT. Axes: u (B, L, H), kernels (H, L), or (B, H, L) where each sequence has its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels.any_length import known


def convolve(u: Tensor, k: Tensor) -> Tensor:
    """y_t = sum_{j <= t} k_j u_{t-j}"""
    return circular(u, k, period(u.shape[1]))


def convolve_both(u: Tensor, k: Tensor, back: Tensor) -> Tensor:
    """y_t = sum_{j >= 0} k_j u_{t-j} + sum_{j >= 0} back_j u_{t+1+j}, with one transform for both directions."""
    size = period(u.shape[1])
    return circular(u, F.pad(k, (0, size - k.shape[-1])) + from_end(back, size), size)


def convolve_around(u: Tensor, k: Tensor, back: Tensor) -> Tensor:
    """y_t = sum_{j >= 0} k_j u_{t-j} + sum_{j >= 0} back_j u_{t+j}: the present sample counts in both directions."""
    size = period(u.shape[1])
    return circular(u, F.pad(k, (0, size - k.shape[-1])) + from_end(back, size).roll(1, -1), size)


def from_end(k: Tensor, size: int) -> Tensor:
    """k_0, k_1, ... at the places -1, -2, ... of a circle."""
    return F.pad(k.flip(-1), (size - k.shape[-1], 0))


def circular(u: Tensor, k: Tensor, size: int) -> Tensor:
    """The circular convolution of u with k, both zero up to `size`: its first L outputs."""
    # Compact first: in a block of u, times lie a power of two apart and share few cache lines.
    spectrum = torch.fft.rfft(u.contiguous().transpose(1, 2), n=size) * torch.fft.rfft(k, n=size)
    return torch.fft.irfft(spectrum, n=size)[..., : u.shape[1]].transpose(1, 2)


def period(length: int) -> int:
    """A size in which outputs do not meet: the next even 2^a 3^b 5^c, whose transforms are quick."""
    least = 2 * length
    if not known(length):
        return least
    best = 1 << (least - 1).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            two = max(2, 1 << (-(-least // three) - 1).bit_length())
            best = min(best, two * three)
            three *= 3
        five *= 5
    return best
