"""Powers by doubling are powers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smrdsl.kernels.powers import Powers
from tests.kernels.systems import KINDS, matrix, transition

cases = settings(max_examples=25, deadline=None, derandomize=True)


@cases
@given(
    kind=st.sampled_from(KINDS),
    states=st.sampled_from([2, 8, 32]),
    vectors=st.integers(1, 3),
    count=st.integers(1, 70),
    first=st.integers(0, 3),
    transposed=st.booleans(),
)
def test_an_orbit_is_made_of_powers(
    kind: str, states: int, vectors: int, count: int, first: int, transposed: bool
) -> None:
    a, _ = transition(kind, 2, states)
    x = torch.randn(2, vectors, states, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    step = torch.matrix_power(matrix(a), 1 << first)
    wanted, row = [], x
    for _ in range(count):
        wanted.append(row)
        row = row @ (step if transposed else step.mT)
    found = Powers(a).orbit(x, count, first, transposed)
    torch.testing.assert_close(found, torch.cat(wanted, 1), rtol=1e-11, atol=1e-12)


@cases
@given(kind=st.sampled_from(KINDS), steps=st.integers(0, 300))
def test_advancing_is_a_power(kind: str, steps: int) -> None:
    a, _ = transition(kind, 2, 6)
    x = torch.randn(2, 3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    wanted = x @ torch.matrix_power(matrix(a), steps).mT
    torch.testing.assert_close(Powers(a).advance(x, steps), wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_powers_in_float32_round_a_few_times_only(kind: str) -> None:
    """4096 powers of a matrix near the unit circle, which the product of 4096 roundings would blur."""
    a, b = transition(kind, 4, 16)
    exact = Powers(a).orbit(b, 4096)
    found = Powers(a).orbit(b.float(), 4096).double()
    assert (found - exact).abs().max() < 3e-6 * exact.abs().max()


def test_blocks_of_channels_have_their_own_powers() -> None:
    a, b = transition("low rank", 5, 8)
    parts = [p.orbit(v, 20) for p, v in zip(Powers(a).split(2), b.split(2), strict=True)]
    torch.testing.assert_close(torch.cat(parts), Powers(a).orbit(b, 20))
