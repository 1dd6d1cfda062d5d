"""The steps of selective cores: delta, made from the input, to what decays a state and what weighs a sample."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels.core import Gap, in_precision
from smrdsl.kernels.initial import fill

FLOOR = 1e-4
"""The least step at first."""


def sampled(
    delta: Tensor,
    bias: Tensor,
    rate: Gap | None,
    dt: Tensor | None,
    *,
    decay: bool,
    limit: tuple[float, float] | None = None,
) -> tuple[Tensor, Tensor]:
    """softplus(delta + bias), clamped: (steps of the state, weights of the sample), both (..., S) as `delta`.

    The steps are multiplied by `rate` and the gaps dt (...); the weights too, unless `decay`.
    """
    weights = F.softplus(in_precision(delta) + in_precision(bias))
    if limit is not None:
        weights = weights.clamp(*limit)
    if rate is None and dt is None:
        return weights, weights
    steps = weights if rate is None else weights * rate
    if dt is not None:
        steps = steps * dt.to(steps.dtype).unsqueeze(-1)
    return steps, weights if decay else steps


@torch.no_grad()
def fill_bias(bias: Tensor, low: float, high: float, generator: torch.Generator) -> None:
    """softplus(bias) log-uniform in low .. high, but at least the floor."""
    share = torch.rand(bias.shape, dtype=bias.dtype, generator=generator)
    step = torch.exp(math.log(low) + (math.log(high) - math.log(low)) * share).clamp(min=FLOOR)
    # The inverse of softplus; as log(e^step - 1) it would lose a small step.
    fill(bias, step + torch.log(-torch.expm1(-step)))
