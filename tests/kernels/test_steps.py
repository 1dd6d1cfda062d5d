"""Steps of selective cores: where they start, and what gaps, rates and limits make of them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels.steps import FLOOR, fill_bias, sampled

DELTA = torch.tensor([[[-1.0, 0.0], [0.5, 30.0], [-30.0, 2.0]]], dtype=torch.float64)
BIAS = torch.tensor([0.25, -1.0], dtype=torch.float64)
GAPS = torch.tensor([[1.0, 0.5, 4.0]], dtype=torch.float64)
PLAIN = F.softplus(DELTA + BIAS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_start_in_their_range(dtype: torch.dtype) -> None:
    bias = torch.empty(4000, dtype=dtype)
    fill_bias(bias, 0.001, 0.1, torch.Generator().manual_seed(0))
    steps = F.softplus(bias)
    assert 0.001 * 0.999 < steps.min() < 0.0011
    assert 0.095 < steps.max() < 0.1 * 1.001
    # Log-uniform: as many in each of two decades.
    assert 0.45 < (steps < 0.01).double().mean() < 0.55


def test_no_step_starts_below_the_floor() -> None:
    bias = torch.empty(500, dtype=torch.float64)
    fill_bias(bias, 1e-7, 1e-3, torch.Generator().manual_seed(0))
    steps = F.softplus(bias)
    assert abs(steps.min() / FLOOR - 1) < 1e-9
    assert (steps > 2 * FLOOR).any()


def check(found: tuple[Tensor, Tensor], steps: Tensor, weights: Tensor) -> None:
    torch.testing.assert_close(found[0], steps)
    torch.testing.assert_close(found[1], weights)


def test_gaps_and_rates_scale_both_or_the_decay_alone() -> None:
    check(sampled(DELTA, BIAS, None, None, decay=True), PLAIN, PLAIN)
    check(sampled(DELTA, BIAS, 2.0, None, decay=False), 2 * PLAIN, 2 * PLAIN)
    check(sampled(DELTA, BIAS, 2.0, None, decay=True), 2 * PLAIN, PLAIN)
    timed = PLAIN * GAPS[..., None]
    check(sampled(DELTA, BIAS, None, GAPS, decay=False), timed, timed)
    check(sampled(DELTA, BIAS, torch.tensor(3.0), GAPS, decay=True), 3 * timed, PLAIN)


def test_a_limit_holds_before_gaps() -> None:
    clamped = PLAIN.clamp(0.1, 2.0)
    check(
        sampled(DELTA, BIAS, None, GAPS, decay=True, limit=(0.1, 2.0)),
        clamped * GAPS[..., None],
        clamped,
    )


def test_half_precision_is_left_before_the_bias() -> None:
    steps, _ = sampled(DELTA.bfloat16(), BIAS.float(), None, GAPS, decay=False)
    assert steps.dtype == torch.float32
