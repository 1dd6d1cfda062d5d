"""How much an error of the input an SMR may pass on: |y'_t - y_t| <= Gamma max_j |u'_{t-j} - u_{t-j}|.

    Gamma = sup |gate| + zeta Lip(gate) |h|_1        |u| <= zeta, h the filter that memories and gate kernel fold into

Both are taken over the p that such inputs can reach, |p - b| <= zeta |h|_1; with mix=pointwise, |M| |h|_1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SIGMOID_SLOPE, SILU_SLOPE = 0.25, 1.1

GATES: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "sigmoid2": lambda low, high: (2 * torch.sigmoid(high), torch.full_like(high, 2 * SIGMOID_SLOPE)),
    "tanh1": lambda low, high: (1 + torch.tanh(high), torch.ones_like(high)),
    "sigmoid": lambda low, high: (torch.sigmoid(high), torch.full_like(high, SIGMOID_SLOPE)),
    "tanh": lambda low, high: (torch.tanh(_largest(low, high)), torch.ones_like(high)),
    "silu": lambda low, high: (_largest(low, high), torch.full_like(high, SILU_SLOPE)),
    "identity": lambda low, high: (_largest(low, high), torch.ones_like(high)),
}
"""Gate -> its largest absolute value for p from low to high, and a Lipschitz constant."""


def error_gain(taps: Tensor, mixed: Tensor | None, bias: Tensor | None, gate: str, zeta: float) -> Tensor:
    """Gamma of each channel, (D): taps (D, T), M (D, D), b (D)."""
    reach = taps.abs().sum(1)
    reach = reach if mixed is None else mixed.abs() @ reach
    centre = torch.zeros_like(reach) if bias is None else bias
    most, slope = GATES[gate](centre - zeta * reach, centre + zeta * reach)
    return most + zeta * slope * reach


def _largest(low: Tensor, high: Tensor) -> Tensor:
    """The largest |p|; |silu(p)| is below it."""
    return torch.maximum(low.abs(), high.abs())
