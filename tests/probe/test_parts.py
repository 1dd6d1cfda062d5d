"""The laws of the parts: the rate of a divergence, what a gate can and cannot do, and insertion bit for bit."""

from __future__ import annotations

import math

import pytest
import torch

from smrdsl.ops.smr.gain import error_gain
from smrdsl.probe.fit import Recipe
from smrdsl.probe.handmade import RADII, handmade
from smrdsl.probe.insert import EXACT, RANDOM, insert
from smrdsl.probe.lab import Meter
from smrdsl.probe.nss import nss
from smrdsl.probe.stability import stability
from smrdsl.probe.subject import CONTROL, HOST, SMR
from smrdsl.probe.volterra import volterra
from tests.probe.models import host, lab


@pytest.fixture(scope="module")
def growths():
    return {(g.pre, g.radius): g for g in handmade(seeds=20)}


def test_no_deviation_of_the_system_made_by_hand_passes_its_bound(growths) -> None:
    assert len(growths) == 15
    assert all(g.holds for g in growths.values())


@pytest.mark.parametrize("pre", ["none", "smr"])
def test_above_1_a_deviation_grows_at_the_rate_of_the_spectrum_whatever_gate_stands_in_front(growths, pre) -> None:
    for radius in (r for r in RADII if r > 1):
        assert abs(growths[pre, radius].slope - math.log(radius)) < 1e-3
    for radius in (r for r in RADII if r < 1):
        assert abs(growths[pre, radius].slope) < 5e-3


def test_a_filter_with_zeros_on_the_poles_takes_the_divergence_away(growths) -> None:
    assert all(growths["fir", radius].slope < 5e-3 for radius in RADII)
    assert growths["fir", 1.02].end < 1 < growths["none", 1.02].end


def test_a_gate_gives_a_linear_model_the_energy_and_a_linear_filter_does_not() -> None:
    found = volterra(1, Recipe(steps=120, batch=12, length=64, rate=0.03), Meter(lambda doing, share: None))
    assert found.mean(HOST) > 0.95
    assert found.mean(CONTROL) > 0.95
    assert found.mean(SMR) < 0.45


def test_smr_that_starts_as_the_identity_changes_no_bit_of_a_trained_host() -> None:
    found = {i.gate: i for i in insert(lab(host(), seeds=2)).insertions}
    assert found.keys() == EXACT.keys() | RANDOM.keys()
    for gate in ("sigmoid2", "tanh1", "identity"):
        assert found[gate].exact
        assert found[gate].ratio == 1.0
    assert found["silu"].difference < 1e-6
    assert all(not found[gate].exact and found[gate].difference > 1e-3 for gate in RANDOM)


@pytest.mark.parametrize("gate", ["sigmoid2", "tanh1", "sigmoid", "tanh", "silu", "identity"])
@pytest.mark.parametrize("mixed", [False, True])
def test_no_error_grows_by_more_than_gamma(gate: str, mixed: bool) -> None:
    """Over random memories, biases, inputs and errors, of a size up to zeta."""
    from smrdsl.kernels.native_taps import GATES

    draw = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=draw)

    for _ in range(20):
        taps, bias, m = normal(3, 4), normal(3), normal(3, 3)
        u = normal(50, 4, 3).clamp(-2, 2)
        moved = (u + 0.5 * normal(50, 4, 3)).clamp(-2, 2)

        def gated(v: torch.Tensor, taps=taps, bias=bias, m=m) -> torch.Tensor:
            r = torch.einsum("btd,dt->bd", v, taps)
            return v[:, -1] * GATES[gate]((r @ m.T if mixed else r) + bias)

        gamma = error_gain(taps, m if mixed else None, bias, gate, 2.0)
        largest = (moved - u).abs().amax((1, 2))
        assert bool(((gated(moved) - gated(u)).abs() <= gamma * largest[:, None] * (1 + 1e-9)).all())


def test_the_figures_of_a_gate_hold_what_was_measured() -> None:
    figures = stability(lab(host("smr(init=random) s4d(state=8)")), [SMR])[0]
    assert len(figures.gates) == 2
    assert all(0 < g.measured <= g.gamma for g in figures.gates)
    assert all(c.kind == "bank" and c.sigma and c.gain for c in figures.cores)


def test_the_cores_of_a_model_of_tokens_are_followed_behind_the_embedding() -> None:
    text = host(start="tokens(vocab=11)", end="linear(11)").replace("linear(8)\n", "embed(8)\n", 1)
    made = lab(text)
    found = nss(made, [HOST, SMR], 2)
    assert found.local
    assert len(found.cores) == 4
    assert all(d.holds and d.mean_relative > 0 for d in found.cores)
    gates = stability(made, [SMR])[0].gates
    assert all(g.measured == pytest.approx(1.0) for g in gates)  # they start as the identity
