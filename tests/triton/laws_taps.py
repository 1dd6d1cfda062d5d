"""Short convolutions and SMR's gate by Triton, against torch in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from smrdsl.kernels import triton_common
from smrdsl.kernels.native_taps import ACTS, GATES, NUMBERS, ShortFilter, composed, convolve, last
from tests.triton.where import HALF, OVERFLOWS, close, normal, triton

__all__ = ["triton"]
NAMES = ("x", "before", "taps", "bias")
KINDS = [None, *GATES]


def parts(batch: int = 2, length: int = 5, channels: int = 3, taps: int = 3) -> dict[str, Tensor]:
    return {
        "x": normal(batch, length, channels, seed=1),
        "before": normal(batch, taps - 1, channels, seed=2),
        "taps": normal(channels, taps, seed=3),
        "bias": normal(channels, seed=4),
    }


def results(own: dict[str, Any], gate: str | None, wide: bool) -> list[Tensor]:
    """The outputs and the gradients of all that is there."""
    mine = [None if p is None else (p.double() if wide else p.clone()).requires_grad_() for p in own.values()]
    y = composed(*mine, number=NUMBERS.get(gate or "", 0)) if wide else convolve(*mine, gate)  # type: ignore[arg-type]
    dy = normal(*y.shape, seed=5).to(y.dtype)
    return [y, *torch.autograd.grad((y * dy).sum(), [p for p in mine if p is not None])]


def check(own: dict[str, Any], gate: str | None, tolerance: float = 2e-5) -> None:
    for found, wanted in zip(results(own, gate, False), results(own, gate, True), strict=True):
        assert found.shape == wanted.shape
        close(found, wanted, tolerance)


@pytest.mark.parametrize("gate", KINDS)
def test_it_is_torchs_convolution(gate: str | None) -> None:
    check(parts(), gate)


@pytest.mark.parametrize("act", ACTS)
def test_an_activation_may_stand_instead_of_a_gate(act: str) -> None:
    found, number = [], ShortFilter(normal(1, 1), None, None, act).number
    for wide in (False, True):
        x, before, taps, bias = own = [(p.double() if wide else p).requires_grad_() for p in parts().values()]
        y = composed(*own, number=number) if wide else ShortFilter(taps, bias, None, act).run(x, before)
        found.append([y, *torch.autograd.grad(y.sin().sum(), own)])
    for mine, wanted in zip(*found, strict=True):
        close(mine, wanted, 2e-5)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (1, 3, 2, 8), (1, 9, 6, 2)])
def test_shapes_of_all_kinds(sizes: tuple[int, int, int, int]) -> None:
    own = parts(*sizes)
    check(own, "silu")
    check(own | {"before": None, "bias": None}, "tanh1")


@pytest.mark.parametrize("gate", KINDS)
def test_gates_are_exact_far_out_and_near_zero(gate: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative to each number, not to the largest: where a gate closes, its slope is small but not 0."""
    monkeypatch.setattr(triton_common, "WIDTH", 128)
    p = torch.cat([torch.linspace(-80, 80, 41), torch.logspace(-30, 0, 40), -torch.logspace(-30, 0, 40)])
    own = {"x": torch.ones(1, 1, len(p)), "before": None, "taps": torch.zeros(len(p), 1), "bias": p}
    given = {k: None if q is None else q.to(normal(1).device) for k, q in own.items()}
    (y, *_, slope), (wanted, *_, steep) = results(given, gate, False), results(given, gate, True)
    # In float64 too 1 minus a number near 1 has lost some digits; silu has a place where its slope is 0.
    torch.testing.assert_close(y.double(), wanted, rtol=2e-5, atol=1e-15 if gate == "tanh1" else 1e-35)
    torch.testing.assert_close(slope.double(), steep, rtol=2e-5, atol=1e-7 if gate == "silu" else 1e-14)


@pytest.mark.parametrize("shape", [(0, 5), (2, 0)])
def test_nothing_gives_nothing(shape: tuple[int, int]) -> None:
    y, *grads = results(parts(*shape), "sigmoid2", False)
    assert y.shape == (*shape, 3)
    assert not any(g.any() for g in grads)


def test_a_chunk_after_the_other_is_the_whole() -> None:
    own, outputs = parts(), []
    whole, before = convolve(*own.values(), "sigmoid2"), own["before"]
    for chunk in own["x"].split([1, 0, 2, 2], 1):
        outputs.append(convolve(chunk, before, own["taps"], own["bias"], "sigmoid2"))
        before = last(chunk, before)
    close(torch.cat(outputs, 1), whole)


@OVERFLOWS
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_channel_and_window(poison: float) -> None:
    own = parts()
    bad = own | {"x": own["x"].clone()}
    bad["x"][1, 3, 2] = poison
    clean, dirty = (results(p, "sigmoid2", False) for p in (own, bad))
    reached = torch.zeros_like(own["x"], dtype=torch.bool)
    reached[1, 3:, 2] = True
    assert torch.equal(clean[0][~reached], dirty[0][~reached])
    reached[1, 1:, 2] = True
    assert torch.equal(clean[1][~reached], dirty[1][~reached])
    assert not dirty[0][1, 3, 2].isfinite()


def test_streams_may_be_in_half_precision() -> None:
    """bfloat16 in and out, float32 inside: the same as of the rounded inputs."""
    half = {k: p.bfloat16() for k, p in parts().items()}
    found = results(half, "sigmoid2", False)
    for mine, wanted in zip(found, results({k: p.float() for k, p in half.items()}, "sigmoid2", False), strict=True):
        assert mine.dtype == torch.bfloat16
        close(mine, wanted, HALF)


def test_second_derivatives_are_torchs() -> None:
    own, found = parts(1, 4, 3, 2), []
    for wide in (False, True):
        mine = [(p.double() if wide else p.clone()).requires_grad_() for p in own.values()]
        y = composed(*mine, number=NUMBERS["silu"]) if wide else convolve(*mine, "silu")
        first = torch.autograd.grad(y.sin().sum(), mine, create_graph=True)
        found.append(torch.autograd.grad(sum(g.square().sum() for g in first), mine[0])[0])  # type: ignore[arg-type]
    close(found[0], found[1], 1e-4)
