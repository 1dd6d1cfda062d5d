"""Every task: the target is true at the times that were asked, on any grid."""

from __future__ import annotations

import numpy as np
import pytest

from smrdsl.core.errors import SmrError
from smrdsl.data.grids import grid, times
from smrdsl.data.signals import FINE, SECONDS, SPAN, TASKS, Curves, sample, series, task


def curves(name: str, seed: int = 3, batch: int = 4) -> Curves:
    return task(name).curves(np.random.default_rng(seed), batch)


@pytest.mark.parametrize("name", TASKS)
def test_a_curve_is_a_function_of_time_alone(name: str) -> None:
    """Sampled on two grids that share some times, it has the same values and targets there."""
    c, every, other = curves(name), np.arange(0.0, 60.0).repeat(4).reshape(60, 4).T, np.arange(0.0, 60.0, 2.0)
    second = np.tile(other, (4, 1))
    assert np.array_equal(c.value(every)[:, ::2], c.value(second))
    assert np.array_equal(c.target(every)[:, ::2], c.target(second))


@pytest.mark.parametrize("name", ["next", "mg"])
def test_the_next_value_is_that_one_step_later_on_any_grid(name: str) -> None:
    u, y, gaps = sample(task(name), grid("rate=0.5"), 1, 8, 100)
    assert np.allclose(y[:, :-2], u[:, 2:], atol=1e-9)
    assert np.all(gaps == 0.5)


def test_the_oscillator_obeys_its_equation() -> None:
    """y'' + 2 z w y' + w^2 y = w^2 u, by central differences."""
    c, h, own = curves("osc"), 1e-3, 2 * np.pi * 0.5
    t = np.tile(np.linspace(0, 50, 40), (4, 1))
    before, y, after = (c.target(t + shift) for shift in (-h, 0, h))
    first, second = (after - before) / (2 * h * SECONDS), (after - 2 * y + before) / (h * SECONDS) ** 2
    assert np.allclose(second + 2 * 0.3 * own * first + own**2 * y, own**2 * c.value(t), atol=1e-3)


def test_the_energy_is_that_of_the_signal() -> None:
    c, h = curves("energy"), 1e-4
    t = np.tile(np.linspace(0, 50, 40), (4, 1))
    slope = (c.value(t + h) - c.value(t - h)) / (2 * h * SECONDS)
    assert np.allclose(c.target(t), c.value(t) ** 2 + (slope / (2 * np.pi)) ** 2, atol=1e-6)


def test_no_linear_map_gives_the_energy() -> None:
    """Over the phases, its product with the signal at any time is 0 in the mean."""
    u, y, _ = sample(task("energy"), grid("clean"), 5, 4000, 16)
    lags = [np.mean(u[:, i] * (y[:, 8] - y.mean())) / (u.std() * y.std()) for i in range(9)]
    assert np.abs(lags).max() < 0.06


def test_the_series_obeys_the_delay_equation() -> None:
    x, lag = series(False), round(17 / FINE)
    slope, past, now = np.diff(x[:, lag:]) / FINE, x[:, :-lag][:, :-1], x[:, lag:-1]
    assert np.allclose(slope, 0.2 * past / (1 + past**10) - 0.1 * now, atol=1e-12)


def test_one_seed_has_the_same_curves_on_all_grids() -> None:
    clean, _, _ = sample(task("next"), grid("clean"), 7, 3, 50)
    moved, _, gaps = sample(task("next"), grid("jitter=0.3"), 7, 3, 50)
    c = task("next").curves(np.random.default_rng(np.random.SeedSequence(7).spawn(2)[0]), 3)
    assert np.array_equal(c.value(times(np.ones((3, 50)))), clean)
    assert np.array_equal(c.value(times(gaps)), moved)


def test_held_out_series_are_others() -> None:
    assert not np.isin(series(True)[0, :50], series(False)).any()


def test_asking_behind_the_end_of_a_series_is_told() -> None:
    with pytest.raises(SmrError, match="known for 1024 steps"):
        curves("mg").value(np.full((4, 1), SPAN + 400.0))


def test_what_is_no_task_is_told() -> None:
    with pytest.raises(SmrError, match="did you mean `energy`"):
        task("enrgy")
