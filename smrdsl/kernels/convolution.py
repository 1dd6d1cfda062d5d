"""A whole sequence by FFT: exact wherever A, b, c and the step do not depend on time.

Transforms run over blocks of channels: a block that fits in the cache halves the time of long sequences on a CPU.
Axes: u (B, L, H), kernels (H, L).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels.powers import known
from smrdsl.kernels.system import System, kernel, last_state, response

BLOCK = 1 << 18
"""Elements of a block of channels."""
NARROWEST = 16


def block_width(u: Tensor) -> int:
    """How many channels of u (B, L, H) are worked on at once."""
    batch, length, channels = u.shape
    if u.device.type != "cpu" or not (known(batch) and known(length)):
        return channels
    return min(channels, max(NARROWEST, BLOCK // max(1, batch * length)))


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


def circular(u: Tensor, k: Tensor, length: int) -> Tensor:
    """The circular convolution of u (B, L, H) with k (H, `length`), its first L outputs."""
    width = block_width(u)
    blocks = []
    for inputs, spectrum in zip(u.split(width, 2), torch.fft.rfft(k, n=length).split(width), strict=True):
        # Compact first: in the whole of u, times lie a power of two apart, and fall onto the same few cache lines.
        transformed = torch.fft.rfft(inputs.contiguous().transpose(1, 2), n=length)
        outputs = torch.fft.irfft(transformed * spectrum, n=length)
        blocks.append(outputs[..., : u.shape[1]].transpose(1, 2))
    return torch.cat(blocks, 2)


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
    """From the state x (B, H, N): the outputs and the state after them."""
    return convolve(system, u) + response(system, x, u.shape[1]), last_state(system, u, x)
