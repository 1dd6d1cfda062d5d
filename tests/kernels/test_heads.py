"""The scan over heads against the published one (state-spaces/mamba, ssd_minimal_discrete, commit e9594ce, in float64).

Its arrays: x and y (batch, L, heads, P), dt (batch, L, heads), A (heads), B and C (batch, L, G, N), states
(batch, heads, P, N).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smrdsl.kernels import doubling, heads
from smrdsl.kernels.heads import recur, scan

GOLDEN = Path(__file__).parents[1] / "ops" / "golden"
CHUNK = 1 << heads.LOG
every_way = pytest.mark.parametrize("run", [recur, scan], ids=lambda f: f.__name__)


def read(name: str, dtype: torch.dtype) -> dict[str, Tensor]:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return {key: torch.tensor(file[key]).to(dtype) for key in file.files if file[key].dtype.kind == "f"}


def apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    assert found.shape == wanted.shape
    return float((found.double() - wanted).abs().max() / max(1.0, float(wanted.abs().max())))


@every_way
@pytest.mark.parametrize("name", ["ssd_core_g1", "ssd_core_g2_init"])
def test_output_and_state_are_the_published_ones(name: str, run: Callable[..., Any], monkeypatch: Any) -> None:
    monkeypatch.setattr(heads, "LOG", 3)
    wanted = read(name, torch.float64)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        g = read(name, dtype)
        start = g.get("initial_state", torch.zeros_like(g["final_state"]))
        y, h = run(g["x"] * g["dt"].unsqueeze(3), g["dt"] * g["A"], g["B"], g["C"], start)
        assert apart(y, wanted["y"]) < tolerance
        assert apart(h, wanted["final_state"]) < tolerance


def streams(batch: int, length: int, groups: int, each: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """v, a, b, c and a state, for groups of `each` heads with two channels and three states."""
    g = torch.Generator().manual_seed(length)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=dtype, generator=g)

    count = groups * each
    v, a = normal(batch, length, count, 2), -normal(batch, length, count).abs()
    b, c = normal(batch, length, groups, 6).split(3, 3)
    return [v, a, b, c, normal(batch, count, 2, 3)]


def gradients(run: Callable[..., Any], given: list[Tensor]) -> list[Tensor]:
    """Of a function of all outputs and the state after them."""
    learned = [x.detach().requires_grad_() for x in given]
    y, h = run(*learned)
    return list(torch.autograd.grad(y.sin().sum() + h.cos().sum(), learned))


def close(found: Any, wanted: Any) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(batch=st.integers(1, 3), length=st.integers(1, 150), groups=st.integers(1, 3), each=st.integers(1, 3))
def test_chunks_are_the_recurrence(batch: int, length: int, groups: int, each: int) -> None:
    given_ = streams(batch, length, groups, each)
    close(scan(*given_), recur(*given_))
    close(gradients(scan, given_), gradients(recur, given_))


def test_a_long_sequence_in_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    given_ = streams(2, 5 * CHUNK + 3, 2, 2)
    assert heads.segment(given_[0]) == 8 * CHUNK
    wanted = scan(*given_), gradients(scan, given_)
    monkeypatch.setattr(heads, "SEGMENT", 2 * 8 * CHUNK**2)
    assert heads.segment(given_[0]) == 2 * CHUNK
    close((scan(*given_), gradients(scan, given_)), wanted)


@pytest.mark.parametrize("length", [CHUNK - 1, CHUNK, CHUNK + 1])
def test_around_one_chunk(length: int) -> None:
    given_ = streams(1, length, 2, 2)
    close(scan(*given_), recur(*given_))


@pytest.mark.parametrize("length", [1, CHUNK, 3 * CHUNK + 5])
def test_a_length_that_is_a_symbol(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    given_ = streams(2, length, 2, 2)
    for module in (heads, doubling):
        monkeypatch.setattr(module, "known", lambda _: False)
    close(scan(*given_), recur(*given_))
    close(gradients(scan, given_), gradients(recur, given_))


def test_head_i_reads_group_i_over_heads_of_a_group() -> None:
    v, a, b, c, h = streams(1, 7, 2, 3)
    whole, after = scan(v, a, b, c, h)
    for i in range(6):
        one, group = slice(i, i + 1), slice(i // 3, i // 3 + 1)
        y, last = scan(v[:, :, one], a[:, :, one], b[:, :, group], c[:, :, group], h[:, one])
        close(whole[:, :, one], y)
        close(after[:, one], last)


def test_a_long_pause_does_not_blur_its_neighbours() -> None:
    """A sum of decays of -1e6 has no digits left in float32 for the small ones after it."""
    given_ = streams(1, 40, 1, 2, torch.float32)
    given_[1] = 0.01 * given_[1]
    given_[1][:, 10] = -1e6
    wanted = recur(*(x.double() for x in given_))[0]
    assert apart(scan(*given_)[0], wanted) < 1e-5


def test_float32_stays_finite_and_right_over_16384_samples() -> None:
    given_ = streams(1, 16384, 1, 2, torch.float32)
    wide = [x.double() for x in given_]
    assert apart(scan(*given_)[0], scan(*wide)[0]) < 1e-4
    for found, wanted in zip(gradients(scan, given_), gradients(scan, wide), strict=True):
        assert torch.isfinite(found).all()
        assert apart(found, wanted) < 1e-4
