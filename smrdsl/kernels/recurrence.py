"""A whole sequence one time after the other.

The inputs are taken apart once, not sliced at every step: with slices the backward pass would be quadratic in length.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from smrdsl.kernels.transition import Transition


def recur(steps: Iterable[tuple[Transition, Tensor]], c: Tensor, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """x_t = A_t x_{t-1} + b_t u_t, y_t = c . x_t for L > 0 times, each with its A and b (H, 1 or B, N).

    u (B, L, H) and the state x (B, H, N) before it -> y (B, L, H) and the state after it.
    """
    x, outputs = x.transpose(0, 1), []
    for u_t, (a, b) in zip(u.permute(1, 2, 0).unsqueeze(-1).unbind(0), steps, strict=True):
        x = a.apply(x).addcmul_(b, u_t)
        outputs.append((x * c).sum(-1))
    return torch.stack(outputs).permute(2, 0, 1), x.transpose(0, 1)
