"""A and B of every core, measured through its step, against what its own layer says."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from smrdsl.probe.follow import Modelled
from smrdsl.probe.subject import plain
from smrdsl.probe.systems import Core, System, growth, measure, parts
from tests.probe.models import CORES, host, subject


def cores(core: str) -> Modelled:
    return Modelled.of(plain(subject(host(core)).given, 0))


@pytest.mark.parametrize("core", [c for c in CORES if not c.startswith(("s6", "ssd"))])
def test_a_steady_core_is_its_matrices(core: str) -> None:
    """Stepping with an input is A x + B u, for the A and B that were measured."""
    found = cores(core)
    for key, system in found.systems.items():
        assert system is not None
        c = found.cores[key]
        draw = torch.Generator().manual_seed(0)
        x = torch.randn(1, *c.shape, dtype=torch.float64, generator=draw)
        u = torch.randn(1, c.widths[0], dtype=torch.float64, generator=draw)
        free = system.modes(c.step(c.silence(1), x)).abs()
        assert torch.allclose(free, system.decay * system.modes(x).abs(), atol=1e-7 * float(system.condition.max()))
        assert torch.allclose(c.step([u], x), c.step(c.silence(1), x) + c.step([u], c.rest(1)), atol=1e-10)
        assert 0 < float(system.radius.max()) < 1


@pytest.mark.parametrize("core", CORES)
def test_selective_cores_are_told_from_steady_ones(core: str) -> None:
    found = cores(core)
    assert all((system is None) == core.startswith(("s6", "ssd")) for system in found.systems.values())
    assert all(c.selective == core.startswith(("s6", "ssd")) for c in found.cores.values())


def test_the_spectral_radius_of_s4d_is_that_of_its_decay() -> None:
    model = plain(subject(host()).given, 0)
    layer = model.get_submodule("layers.0.s4d").double()
    step, real = layer.log_dt.exp()[:, None], -layer.log_A_real.exp()
    wanted = torch.exp((step * real).amax(1)).detach()
    system = Modelled.of(model).systems["layers.0.s4d"]
    assert system is not None
    assert torch.allclose(system.radius, wanted, rtol=1e-6)


def test_the_thresholds_of_s4d_are_those_of_its_modes_and_start_at_a_half() -> None:
    """sigma_n = (1 - |lambda_n|) / |b_n| of the complex modes, whose state is what the layer keeps."""
    for range_of_steps, close in (("0.02..0.4", False), ("0.001..0.001", True)):
        model = plain(subject(host(f"s4d(state=8, dt={range_of_steps})")).given, 0)
        layer = model.get_submodule("layers.0.s4d").double()
        lam = torch.complex(-layer.log_A_real.exp(), -layer.A_imag).detach()
        a = (layer.log_dt.detach().exp()[:, None] * lam).exp()
        b = (a - 1) / lam * torch.view_as_complex(layer.B.detach())
        wanted = ((1 - a.abs()) / b.abs()).flatten()
        system = Modelled.of(model).systems["layers.0.s4d"]
        assert system is not None
        found = system.threshold
        assert torch.allclose(found[(found[:, None] - wanted).abs().argmin(0)], wanted, rtol=1e-6)
        assert float(found.min()) >= float(wanted.min()) * (1 - 1e-6)
        assert float(found.max()) <= float(wanted.max()) * (1 + 1e-6)
        assert bool(((found - 0.5).abs() < 0.001).all()) == close


def matrices(a: list[list[float]], b: list[list[float]]) -> System:
    """The system of x' = A x + B u."""
    at, bt = (torch.tensor(m, dtype=torch.float64).T for m in (a, b))

    class Layer(nn.Module):
        def step(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            after = x @ at + u @ bt
            return after, after

    system = measure(Core("own", "own", Layer(), (len(b[0]),), (len(a),)))
    assert system is not None
    return system


def test_a_diagonal_core_that_mixes_its_channels_is_no_bank() -> None:
    """Two numbers of state and two channels, but both channels drive both numbers."""
    system = matrices([[0.5, 0], [0, 0.8]], [[3, 4], [0, 2]])
    assert not system.core.bank
    assert system.force.tolist() == pytest.approx([5, 2])
    assert system.threshold.tolist() == pytest.approx([0.5 / 5, 0.2 / 2])
    assert system.response(2).tolist() == [pytest.approx([3, 20**0.5]), pytest.approx([1.5, (2**2 + 1.6**2) ** 0.5])]


def test_what_acts_on_what_is_found_however_few_there_are() -> None:
    """One number moves the other, and is not moved by it: in either order they are one system."""
    for a in ([[0.9, 0.5], [0, 0.4]], [[0.4, 0], [0.5, 0.9]]):
        system = matrices(a, [[1], [1]])
        assert system.core.depth == 0
        assert system.radius.tolist() == pytest.approx([0.9])


def test_the_gain_is_b_kappa_over_1_minus_rho() -> None:
    a, b = [[0.9, 0.5], [0, 0.4]], [[1.0, 2.0], [-1.0, 1.0]]
    vectors = torch.linalg.eig(torch.tensor(a, dtype=torch.float64)).eigenvectors
    wanted = torch.linalg.matrix_norm(torch.tensor(b, dtype=torch.float64), 2) * torch.linalg.cond(vectors) / (1 - 0.9)
    assert float(matrices(a, b).gain) == pytest.approx(float(wanted))


def test_the_parts_of_a_matrix_are_what_acts_on_one_another() -> None:
    a = torch.zeros(2, 5, 5)
    a[0, 0, 3] = a[1, 3, 1] = 1.0
    a[0, 2, 4] = 1.0
    assert parts(a) == [[0, 1, 3], [2, 4]]


def test_growth_is_the_spectral_radius_without_eigenvectors() -> None:
    """A Jordan block has one eigenvector; its powers grow as k rho^k."""
    block = torch.diag(torch.full((6,), 0.9)) + torch.diag(torch.ones(5), 1)
    assert float(growth(block.double()[None])) == pytest.approx(0.9, rel=1e-6)
    assert float(growth(torch.eye(6).double()[None] * 0.999999 + block.double().triu(1)[None])) < 1


def test_the_response_is_the_norm_of_the_impulse_response() -> None:
    found = cores(CORES[3])
    system = found.systems["layers.0.s5"]
    assert system is not None
    c: Core = system.core
    x = c.step([torch.eye(8, dtype=torch.float64)], c.rest(8))
    for row in system.response(5):
        assert torch.allclose(row, x.norm(dim=1))
        x = c.step(c.silence(8), x)


@pytest.mark.parametrize("core", ["s4d(state=8", "s4(state=8", "s5(state=8", "dss(state=4", "ema(state=4"])
def test_of_a_core_that_runs_both_ways_the_forward_direction_is_looked_at(core: str) -> None:
    """It is the core that has the same weights and runs one way: fed the past alone, both have the same outputs."""
    model = plain(subject(host(f"{core}, bidirectional=true)")).given, 0).double()
    for key, c in Modelled.of(model).cores.items():
        assert c.forwards
        layer = model.get_submodule(key)
        u = torch.randn(1, 6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        x, later = c.rest(1), torch.zeros(1, 6, 8, dtype=torch.float64)
        later[:, 3:] = u[:, 3:]
        from_the_past = layer(u) - layer(later)  # what comes later is in both
        for t, now in enumerate(u.unbind(1)):
            y, x = c.layer.step(now if t < 3 else torch.zeros_like(now), x)
        assert torch.allclose(y, from_the_past[:, -1], atol=1e-9)


def test_a_core_of_one_s_own_layer_is_measured_as_any_other() -> None:
    """Without a word about it anywhere: a bank of real numbers, each a system."""

    class Layer(nn.Module):
        def step(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            after = x * torch.linspace(0.5, 1.01, 4, dtype=u.dtype) + u
            return after, after

    system = measure(Core("own", "own", Layer(), (4,), (4,)))
    assert system is not None
    assert system.core.bank
    assert system.radius.tolist() == pytest.approx([0.5, 0.67, 0.84, 1.01])
    assert float(system.threshold.min()) == pytest.approx(-0.01)
    assert math.isclose(float(system.condition.max()), 1.0)
