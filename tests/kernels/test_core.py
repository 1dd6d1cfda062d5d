"""A core that runs both ways over uneven gaps, told by the times at which its samples lie.

The contract tests compare with references that are recurrences too; here the response to one sample is written down
from the clock: a state that was left at one time has faded by e^{Lambda (elapsed time)} at another.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from smrdsl.kernels.core import Core, forward
from smrdsl.kernels.discretise import diagonal_zoh
from smrdsl.kernels.parameters import reading_of

CHANNELS, LENGTH, PAIRS = 3, 9, 2
STRATEGIES = ("conv", "scan", "recurrent")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


LAMBDA = torch.complex(-0.1 - normal(CHANNELS, PAIRS, seed=1).abs(), 2 * normal(CHANNELS, PAIRS, seed=2))
AHEAD, BACK = torch.view_as_complex(normal(2, CHANNELS, PAIRS, 2, seed=3))
GAPS = 0.2 + 2 * torch.rand(LENGTH, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
STEP = 0.3


def core(decay: bool, ahead: Tensor = AHEAD, back: Tensor | None = BACK) -> Core:
    lam = LAMBDA.real[:, None], LAMBDA.imag[:, None]
    rows = [None if c is None else reading_of(torch.view_as_real(c)) for c in (ahead, back)]
    step = torch.full((CHANNELS, 1, 1), STEP, dtype=torch.float64)
    one = torch.ones_like(lam[0]), torch.zeros_like(lam[0])
    assert rows[0] is not None
    return Core(diagonal_zoh, (lam, one), step, rows[0], rows[1], None, decay, None)


def fade(time: Tensor | float) -> Tensor:
    """e^{Lambda time}, of a time in steps."""
    return torch.exp(LAMBDA * STEP * time)


def weight(gap: Tensor | float) -> Tensor:
    """What a sample leaves in the state if it was held for a gap."""
    return (fade(gap) - 1) / LAMBDA


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("decay", [False, True])
@pytest.mark.parametrize("source", [0, 4, LENGTH - 1])
def test_the_response_to_one_sample_follows_the_clock(source: int, decay: bool, strategy: str) -> None:
    """A sample is held over the gap before it: the output at a time sees what was held up to it, and from it on."""
    clock = GAPS.cumsum(0)
    u = torch.zeros(1, LENGTH, CHANNELS, dtype=torch.float64)
    u[0, source] = 1
    wanted = torch.zeros_like(u)
    for t in range(LENGTH):
        if t >= source:
            state = fade(clock[t] - clock[source]) * weight(1.0 if decay else GAPS[source])
            wanted[0, t] = 2 * (AHEAD * state).sum(-1).real
        else:
            state = fade(clock[source - 1] - clock[t]) * weight(1.0 if decay else GAPS[source])
            wanted[0, t] = 2 * (BACK * state).sum(-1).real
    found = forward(core(decay), strategy, u, None, GAPS[None])
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_held_longer_may_be_sampled_more_often(strategy: str) -> None:
    """A gap cut in two, with the same value in both parts, changes no output of the others, in either direction."""
    u = normal(2, LENGTH, CHANNELS, seed=5)
    gaps = torch.cat([GAPS[:4], GAPS[4:5] / 3, 2 * GAPS[4:5] / 3, GAPS[5:]]).expand(2, -1)
    often = torch.cat([u[:, :4], u[:, 4:5], u[:, 4:]], 1)
    wanted = forward(core(False), strategy, u, None, GAPS.expand(2, -1))
    found = forward(core(False), strategy, often, None, gaps)
    torch.testing.assert_close(torch.cat([found[:, :4], found[:, 5:]], 1), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_equal_gaps_are_a_rate(strategy: str) -> None:
    u = normal(2, LENGTH, CHANNELS, seed=6)
    gaps = torch.full((2, LENGTH), 2.0, dtype=torch.float64)
    for decay in (False, True):
        found = forward(core(decay), strategy, u, None, gaps)
        torch.testing.assert_close(found, forward(core(decay), strategy, u, 2.0, None), rtol=1e-10, atol=1e-12)
