"""The selective scan against the published one (state-spaces/mamba, selective_scan_ref, commit e9594ce, in float64).

Its arrays: u, delta and y are (batch, D, L), B and C (batch, N, L), A (D, N), the state (batch, D, N).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smrdsl.kernels import doubling, selective, selective_tiles
from smrdsl.kernels.selective import any_length, recur, scan

GOLDEN = Path(__file__).parents[1] / "ops" / "golden"
WAYS = [recur, scan, any_length]
every_way = pytest.mark.parametrize("run", WAYS, ids=lambda f: f.__name__)


def read(name: str, dtype: torch.dtype) -> dict[str, Any]:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    config = json.loads(str(arrays.pop("config")))
    return {key: torch.tensor(a).to(dtype) for key, a in arrays.items() if a.dtype.kind == "f"} | {"config": config}


def apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    assert found.shape == wanted.shape
    return float((found.double() - wanted).abs().max() / max(1.0, float(wanted.abs().max())))


def by_group(run: Callable[..., Any], g: dict[str, Any], v: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """Channels whose B and C are shared by groups are banks of their own."""
    groups = g["config"]["G"] or 1
    rows = v.shape[2] // groups
    b, c = (g[n].unflatten(1, (groups, -1)) if groups == 1 else g[n] for n in ("B", "C"))
    ys, hs = [], []
    for i in range(groups):
        of = slice(i * rows, (i + 1) * rows)
        h = v.new_zeros(len(v), rows, g["A"].shape[1])
        y, h = run(v[..., of], s[..., of], g["A"][of], b[:, i].mT, c[:, i].mT, h)
        ys.append(y)
        hs.append(h)
    return torch.cat(ys, 2), torch.cat(hs, 1)


def by_state(run: Callable[..., Any], g: dict[str, Any], v: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """B and C (D, N) that no time changes: every state is a bank of its own, weighted before and after."""
    one, y, hs = v.new_ones(*v.shape[:2], 1), torch.zeros_like(v), []
    for n in range(g["A"].shape[1]):
        part, h = run(v * g["B"][:, n], s, g["A"][:, n : n + 1], one, one, v.new_zeros(len(v), v.shape[2], 1))
        y = y + part * g["C"][:, n]
        hs.append(h)
    return y, torch.cat(hs, 2)


@every_way
@pytest.mark.parametrize("name", ["plain", "full", "groups2", "constBC"])
def test_output_and_state_are_the_published_ones(name: str, run: Callable[..., Any]) -> None:
    wanted = read(f"s6_scan_{name}", torch.float64)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        g = read(f"s6_scan_{name}", dtype)
        u, s = g["u"].mT, g["delta"].mT
        if g["config"]["bias"]:
            s = F.softplus(s + g["delta_bias"])
        assert apart(s, wanted["dt_effective"].mT) < tolerance
        y, h = (by_state if name == "constBC" else by_group)(run, g, s * u, s)
        if g["config"]["Dskip"]:
            y = y + g["D"] * u
        if g["config"]["z"]:
            y = y * F.silu(g["z"].mT)
        assert apart(y, wanted["y"].mT) < tolerance
        assert apart(h, wanted["last_state"]) < tolerance


def streams(batch: int, length: int, channels: int, states: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """v, s, A, b, c and a state, random and stable."""
    g = torch.Generator().manual_seed(length)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=dtype, generator=g)

    s, a = normal(batch, length, channels).abs(), -normal(channels, states).abs()
    b, c = normal(batch, length, 2 * states).split(states, 2)
    return [normal(batch, length, channels), s, a, b, c, normal(batch, channels, states)]


def gradients(run: Callable[..., Any], given: list[Tensor]) -> list[Tensor]:
    """Of a function of all outputs and the state after them."""
    learned = [x.detach().requires_grad_() for x in given]
    y, h = run(*learned)
    return list(torch.autograd.grad(y.sin().sum() + h.cos().sum(), learned))


def close(found: Any, wanted: Any) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("run", [scan, any_length], ids=lambda f: f.__name__)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(batch=st.integers(1, 3), length=st.integers(1, 70), channels=st.integers(1, 3), states=st.integers(1, 3))
def test_every_way_is_the_recurrence(
    run: Callable[..., Any], batch: int, length: int, channels: int, states: int
) -> None:
    given_ = streams(batch, length, channels, states)
    close(run(*given_), recur(*given_))
    close(gradients(run, given_), gradients(recur, given_))


def test_sequences_in_blocks_and_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    given_ = streams(5, 2 * selective_tiles.TIMES + 3, 4, 3)
    wanted = gradients(recur, given_)
    monkeypatch.setattr(selective_tiles, "TILE", 2 * selective_tiles.TIMES * 12)
    assert [b.stop - b.start for b in selective_tiles.blocks(5, 12)] == [2, 2, 1]
    close(gradients(scan, given_), wanted)


@pytest.mark.parametrize("length", [1, 16, 17, 200])
def test_a_length_that_is_a_symbol(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    """With the passes that an exported graph takes in place of a loop over chunks."""
    given_ = streams(2, length, 2, 3)
    monkeypatch.setattr(doubling, "known", lambda _: False)
    close(any_length(*given_), recur(*given_))
    close(gradients(any_length, given_), gradients(recur, given_))


def test_only_one_part_asked_for() -> None:
    """The gradient of the outputs alone, or of the state alone."""
    for part in (0, 1):
        given_ = [x.requires_grad_() for x in streams(2, 20, 3, 2)]
        found = torch.autograd.grad(
            scan(*given_)[part].square().sum(), given_, allow_unused=True, materialize_grads=True
        )
        wanted = torch.autograd.grad(
            recur(*given_)[part].square().sum(), given_, allow_unused=True, materialize_grads=True
        )
        close(found, wanted)


def test_states_are_kept_for_training_alone() -> None:
    given_ = streams(2, 40, 3, 2)
    kept = torch.ops.smrdsl_tiles.selective_scan(*given_, True)[2]
    assert kept.shape == (3, 2, 2, 3)
    close(kept[0], given_[5].mT)
    assert torch.ops.smrdsl_tiles.selective_scan(*given_, False)[2].numel() == 0


@pytest.mark.parametrize("keep", [False, True])
def test_the_operators_keep_torchs_promises(keep: bool) -> None:
    """Shapes and strides told to compilers, nothing changed in place, no output that is an input."""
    given_ = streams(2, 20, 3, 2)
    tests = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(torch.ops.smrdsl_tiles.selective_scan, (*given_, keep), test_utils=tests)
    before = torch.ops.smrdsl_tiles.selective_scan(*given_, True)[2]
    v, s, a, b, c, h = given_
    torch.library.opcheck(
        torch.ops.smrdsl_tiles.selective_scan_backward, (v, s, a, b, c, before, v.cos(), h), test_utils=tests
    )


def test_a_second_derivative_is_that_of_the_recurrence_or_refused() -> None:
    def second(run: Callable[..., Any]) -> Tensor:
        given_ = [x.requires_grad_() for x in streams(1, 5, 2, 2)]
        first = torch.autograd.grad(run(*given_)[0].square().sum(), given_, create_graph=True)
        return torch.autograd.grad(sum(f.square().sum() for f in first), given_[0])[0]

    assert torch.isfinite(second(recur)).all()
    with pytest.raises(RuntimeError, match="recurrent"):
        second(scan)


def test_float32_stays_finite_and_right_over_16384_samples() -> None:
    given_ = streams(1, 16384, 2, 3, torch.float32)
    wide = [x.double() for x in given_]
    assert apart(scan(*given_)[0], scan(*wide)[0]) < 1e-4
    for found, wanted in zip(gradients(scan, given_), gradients(scan, wide), strict=True):
        assert torch.isfinite(found).all()
        assert apart(found, wanted) < 1e-4


def test_an_endless_step_forgets_all() -> None:
    """exp(-inf) is a decay of 0: no NaN, neither in values nor in gradients of what stays finite."""
    v, s, a, b, c, h = streams(1, 8, 2, 2)
    s[:, 4] = 1e30
    y, after = selective.scan(v, s, a, b, c, h)
    wanted, last = selective.scan(*(x[:, 4:] for x in (v, s)), a, b[:, 4:], c[:, 4:], torch.zeros_like(h))
    close(y[:, 4:], wanted)
    close(after, last)
    assert all(torch.isfinite(x).all() for x in gradients(scan, [v, s, a, b, c, h]))
