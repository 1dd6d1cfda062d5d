"""Short convolutions of each channel by itself, on streams whose channels lie side by side in memory.

Axes: B batch, L time, D channels, K taps. Taps are ordered from the oldest input to the newest, as torch's
are.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

FEW_TAPS = 8
"""Up to here the channels-last kernel is the quicker one with its backward pass (CPU, B 4, L 1024, D 256)."""


def depthwise(x: Tensor, taps: Tensor) -> Tensor:
    """y[b, t, d] = sum_k taps[d, k] * x[b, t + k, d]: x (B, L + K - 1, D), taps (D, K) -> (B, L, D)."""
    channels, count = taps.shape
    if x.shape[1] < count:
        return x[:, :0]
    if count > FEW_TAPS:
        return F.conv1d(x.transpose(1, 2), taps[:, None], groups=channels).transpose(1, 2)
    # A two-dimensional convolution takes channels that come last as they are; conv1d would copy them.
    image = x.transpose(1, 2)[:, :, None]
    y = F.conv2d(image, taps[:, None, None], groups=channels)
    return y[:, :, 0].transpose(1, 2)


def depthwise_step(x: Tensor, taps: Tensor) -> Tensor:
    """The same for one output: x (B, K, D), taps (D, K) -> (B, D)."""
    return (x * taps.t()).sum(dim=1)
