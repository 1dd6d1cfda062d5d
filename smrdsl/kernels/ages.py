"""A short filter over inputs at their true ages, on a stream whose samples do not come at even times.

    p_t = sum_{a < N} h_a u(s_t - a)        s_t the time of sample t, in steps: s_t - s_{t-1} is the gap before it

Between samples u is a straight line; behind the oldest that is remembered it stays what that was. So a filter sees what
it would see on the grid of its training, up to the error of the line. In weights over the samples remembered:

    rho_i(a) = (a - tau_{i-1}) / gap, held in 0 .. 1; the gap is that between samples t - i and t - i + 1
    u(s_t - a) = sum_i (rho_i(a) - rho_{i+1}(a)) u_{t-i}        tau_i the age of sample t - i; rho_0 = 1

With gaps of 1 these weights are 1 and 0 exactly. Axes: B batch, L time, D channels, N taps, K samples remembered.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels.core import in_full, in_precision


def respond(u: Tensor, before: Tensor, gaps: Tensor, gaps_before: Tensor, taps: Tensor) -> Tensor:
    """p (B, L, D) of u (B, L, D) with gaps (B, L), after K inputs (B, K, D) and the K - 1 gaps between them (B, K - 1).

    taps (D, N), the present first. Before a sequence stand zeros, with gaps of 0.
    """
    count = before.shape[1]
    if count == 0:
        return u * taps[:, 0]
    seen = torch.cat((before, u), 1)
    with in_full(u):
        all_gaps = torch.cat((in_precision(gaps_before), in_precision(gaps)), 1)
        back = torch.stack([_shifted(all_gaps, count - i, i - 1) for i in range(1, count + 1)], 2)
        weights = line(back, taps.shape[1]).to(u.dtype)
        rows = taps.t()
        total = weights[:, :, 0] @ rows * u
        for i in range(1, count + 1):
            total = torch.addcmul(total, weights[:, :, i] @ rows, _shifted(seen, count - i, i))
    return total


def line(back: Tensor, reach: int) -> Tensor:
    """From the gaps back in time (..., K) the weights of the K + 1 last samples for the first ages, (..., K + 1, N)."""
    start = F.pad(back.cumsum(-1)[..., :-1], (1, 0)).unsqueeze(-1)
    ages = torch.arange(reach, dtype=back.dtype, device=back.device)
    width = torch.where(back > 0, back, 1.0).unsqueeze(-1)  # only between zeros are there gaps of 0
    rho = ((ages - start) / width).clamp(0.0, 1.0)
    none = torch.zeros_like(rho[..., :1, :])
    return torch.cat((none + 1.0, rho), -2) - torch.cat((rho, none), -2)


def _shifted(x: Tensor, first: int, left: int) -> Tensor:
    """x (B, ...) from a time on, without the last `left` ones."""
    return x[:, first : x.shape[1] - left]
