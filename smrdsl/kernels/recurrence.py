"""A whole sequence one time after the other.

The inputs are taken apart once, not sliced at every step: with slices the backward pass would be quadratic in length.
Axes: u (B, L, H), states outside (B, H, N), inside (H, B, N).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from smrdsl.kernels.system import System
from smrdsl.kernels.transition import Transition


def recur(system: System, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """From the state x: the outputs (B, L, H) and the state after them, for L > 0."""
    a, b, c, x = system.a, system.b, system.c, x.transpose(0, 1)
    outputs = []
    for u_t in u.permute(1, 2, 0).unsqueeze(-1).unbind(0):
        x = a.next(x, b * u_t)
        outputs.append((x * c).sum(-1))
    y = torch.stack(outputs).permute(2, 0, 1)
    return y if system.d is None else y + u * system.d, x.transpose(0, 1)


def recur_varying(
    discretise: Callable[[Tensor], tuple[Transition, Tensor]], c: Tensor, u: Tensor, gaps: Tensor, x: Tensor
) -> tuple[Tensor, Tensor]:
    """The same, without a skip, for a system whose step is scaled by gaps (B, L)."""
    x, outputs = x.transpose(0, 1), []
    for u_t, gap in zip(u.permute(1, 2, 0).unsqueeze(-1).unbind(0), gaps.unbind(1), strict=True):
        a, b = discretise(gap)
        x = a.next(x, b * u_t)
        outputs.append((x * c).sum(-1))
    return torch.stack(outputs).permute(2, 0, 1), x.transpose(0, 1)
