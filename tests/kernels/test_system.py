"""What is derived from the powers of a system equals its recurrence, for lengths that are known and that are not."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import smrdsl.kernels.system as known_length
from smrdsl.kernels import any_length
from smrdsl.kernels.recurrence import recur
from smrdsl.kernels.scan import scan
from tests.kernels.systems import KINDS, run, system

cases = settings(max_examples=15, deadline=None, derandomize=True)
LENGTHS = (1, 2, 3, 16, 63, 64, 65, 130)


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rules", [known_length, any_length], ids=["known", "any"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", LENGTHS)
def test_kernel_response_and_last_state(rules: ModuleType, kind: str, length: int) -> None:
    s = system(kind, 3, 8)
    g = torch.Generator().manual_seed(5)
    u = torch.randn(2, length, 3, dtype=torch.float64, generator=g)
    x = torch.randn(2, 3, 8, dtype=torch.float64, generator=g)
    impulse = torch.zeros_like(u[:1])
    impulse[:, 0] = 1
    close(rules.kernel(s, length), run(s, impulse, torch.zeros_like(x[:1]))[0][0].T)
    close(rules.response(s, x, length), run(s, torch.zeros_like(u), x)[0])
    close(rules.last_state(s, u, x), run(s, u, x)[1])


@cases
@given(kind=st.sampled_from(KINDS), length=st.integers(1, 200), batch=st.integers(1, 3))
def test_scan_and_recurrence_are_the_recurrence(kind: str, length: int, batch: int) -> None:
    s = system(kind, 2, 6)
    g = torch.Generator().manual_seed(length)
    u = torch.randn(batch, length, 2, dtype=torch.float64, generator=g)
    x = torch.randn(batch, 2, 6, dtype=torch.float64, generator=g)
    wanted, after = run(s, u, x)
    y, last = scan(s, u, x)
    close(y, wanted)
    close(last, after)
    y, last = recur([(s.a, s.b)] * length, s.c, u, x)
    close(y + u * s.d, wanted)
    close(last, after)


def test_the_skip_is_part_of_the_kernel() -> None:
    s = system("diagonal", 3, 4)
    bare = known_length.kernel(known_length.System(s.powers, s.b, s.c, None), 5)
    with_skip = known_length.kernel(s, 5)
    close(with_skip[:, 1:], bare[:, 1:])
    close(with_skip[:, 0], bare[:, 0] + s.d)


@pytest.mark.parametrize("rules", [known_length, any_length], ids=["known", "any"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_kernels_of_several_rows(rules: ModuleType, kind: str) -> None:
    s = system(kind, 3, 8)
    bundle = torch.randn(3, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    found = rules.kernels(known_length.System(s.powers, s.b, bundle, None), 70)
    assert found.shape == (5, 3, 70)
    for row, k in zip(bundle.unbind(1), found, strict=True):
        close(k, known_length.kernel(known_length.System(s.powers, s.b, row[:, None], None), 70))
