"""A whole sequence by FFT: exact wherever A, b, c and the step do not depend on time.

Axes: u (B, L, H), kernels (H, L), states (B, H, N).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels.powers import known
from smrdsl.kernels.system import System, kernel, last_state, response


def fast_length(least: int) -> int:
    """The smallest even 2^a 3^b 5^c that is no less than `least`: transforms of such lengths are quick."""
    if not known(least):
        return least + least % 2
    best = 1 << max(1, (least - 1).bit_length())
    five = 1
    while five < best:
        three = five
        while three < best:
            two = max(2, 1 << (-(-least // three) - 1).bit_length())
            best = min(best, two * three)
            three *= 3
        five *= 5
    return best


def circular(u: Tensor, k: Tensor, period: int) -> Tensor:
    """The circular convolution of u (B, L, H) with k (H, `period`), its first L outputs."""
    # Compact first: in a block of u, times lie a power of two apart, and would fall onto the same few cache lines.
    spectrum = torch.fft.rfft(u.contiguous().transpose(1, 2), n=period) * torch.fft.rfft(k, n=period)
    return torch.fft.irfft(spectrum, n=period)[..., : u.shape[1]].transpose(1, 2)


def convolve(system: System, u: Tensor) -> Tensor:
    """From the zero state: (B, L, H) -> (B, L, H)."""
    length = u.shape[1]
    return circular(u, kernel(system, length), fast_length(2 * length - 1))


def convolve_both(ahead: System, back: System, u: Tensor) -> Tensor:
    """y_t = sum_{j >= 0} k_j u_{t-j} + sum_{j >= 0} k'_j u_{t+1+j}, with one transform of u for both directions."""
    length = u.shape[1]
    period = fast_length(2 * length - 1)
    later = F.pad(kernel(back, length).flip(1)[:, 1:], (period - length + 1, 0))
    both = F.pad(kernel(ahead, length), (0, period - length)) + later
    return circular(u, both, period)


def convolve_from(system: System, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """From the state x: the outputs and the state after them."""
    return convolve(system, u) + response(system, x, u.shape[1]), last_state(system, u, x)
