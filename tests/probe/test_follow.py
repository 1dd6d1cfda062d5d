"""States on two grids: the deviation is that of the states, and no bound is ever passed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from smrdsl.probe.follow import Modelled, Seen, follow, seen_by
from smrdsl.probe.nss import Nss, deviation_of
from smrdsl.probe.sentences import _own
from smrdsl.probe.streams import pair_of
from smrdsl.probe.subject import HOST, plain
from smrdsl.probe.systems import Core, measure
from tests.probe.models import CORES, host, lab, subject


@pytest.mark.parametrize("core", CORES)
def test_no_deviation_passes_its_bound(core: str) -> None:
    """Neither on the grid with jitter nor on one of another rate, where the signals part entirely."""
    made = lab(host(core))
    cores = Modelled.of(plain(made.subject.given, 0))
    for where in ("jitter=0.3", "rate=2"):
        for p in pair_of(made, 0, 3, 64, where).parted(cores):
            assert p.bound.shape == p.deviation.shape == (64, 3)
            assert bool((p.deviation <= p.bound * (1 + 1e-9) + 1e-12).all())
            assert float(p.deviation[-1].min()) > 0
            if p.closed is not None:
                assert float(p.deviation.max()) <= p.closed


def test_the_same_input_twice_leaves_no_deviation() -> None:
    made = lab(host())
    for p in pair_of(made, 0, 2, 32, "clean").parted(Modelled.of(plain(made.subject.given, 0))):
        assert float(p.deviation.abs().max()) == 0.0
        assert float(p.size.min()) > 0


def test_a_deviation_is_that_of_the_states_that_the_model_leaves() -> None:
    """The state after the last sample, as the model itself hands it out."""
    made = lab(host())
    model = plain(made.subject.given, 0).double()
    pair = pair_of(made, 0, 2, 20)
    clean, moved = (model(u.double(), return_state=True)[1]["layers.1.s4d.x"] for u in (pair.clean, pair.moved))
    cores = Modelled.of(model)
    p = cores.part(pair.clean.double(), pair.moved.double(), None, None)[1]
    assert torch.allclose(p.deviation[-1], (moved - clean).flatten(1).norm(dim=1), rtol=1e-6)


def test_the_event_trigger_condition_holds_where_errors_are_small_and_fails_where_they_are_large() -> None:
    made = lab(host())
    model = plain(made.subject.given, 0)
    cores = Modelled.of(model)
    key = next(iter(cores.cores))
    _, kept = seen_by(model, [key], pair_of(made, 0, 2, 64, "clean").clean, None)
    seen, shares = kept[key], []
    for size in (1e-9, 1e9):
        errors = torch.randn(seen.streams[0].shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        p = follow(cores.cores[key], cores.systems[key], seen, Seen([seen.streams[0] + size * errors], None))
        shares.append(float(p.held[-1]))
    assert shares[0] > 0.99
    assert shares[1] < 0.9


def test_the_closed_bound_holds_for_errors_in_all_channels_at_once() -> None:
    """x' = 0.9 x + the sum of four channels: |e| comes to 4 / (1 - 0.9), and to no more."""

    class Layer(nn.Module):
        def step(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            after = 0.9 * x + u.sum(1, keepdim=True)
            return after, after

    core = Core("own", "own", Layer(), (4,), (1,))
    silent = torch.zeros(1, 200, 4, dtype=torch.float64)
    p = follow(core, measure(core), Seen([silent], None), Seen([silent + 1], None))
    assert float(p.deviation[-1]) == pytest.approx(40)
    assert p.closed == pytest.approx(40)


def test_numbers_that_overflow_have_no_slope_and_break_no_bound() -> None:
    model = plain(lab(host()).subject.given, 0)
    p = Modelled.of(model).part(*[torch.ones(2, 16, 1)] * 2, None, None)[0]
    assert deviation_of(HOST, p).slope is None  # nothing parts
    p.deviation[8:] = math.inf
    found = deviation_of(HOST, p)
    assert (found.slope, found.tightest, found.holds) == (None, None, None)
    told = " ".join(_own(Nss([], [found], 16, False, [])))
    assert "Within 16 samples numbers overflow in layers.0.s4d (the model without SMR)" in told
    assert "bound" not in told


def test_with_gaps_there_is_a_deviation_and_no_bound() -> None:
    made = lab(host(start="signal(channels=1, timed=true)"))
    model = plain(subject(host(start="signal(channels=1, timed=true)")).given, 0)
    pair = pair_of(made, 0, 2, 16)
    assert pair.gaps is not None
    p = Modelled.of(model).part(pair.clean, pair.moved, torch.ones(2, 16), pair.gaps)[0]
    assert p.bound.numel() == p.held.numel() == 0
    assert float(p.deviation[-1].min()) > 0
