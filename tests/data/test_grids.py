"""Every grid against what it says it is."""

from __future__ import annotations

import numpy as np
import pytest

from smrdsl.core.errors import SmrError
from smrdsl.data.grids import CO2_GAPS, CO2_SAMPLES, PLAIN, STUDY, co2_record, grid, times

ALL = (*STUDY, "mix")


def draw(name: str, batch: int = 200, length: int = 300, seed: int = 0) -> np.ndarray:
    return grid(name)(np.random.default_rng(seed), batch, length)


@pytest.mark.parametrize("name", ALL)
def test_gaps_are_above_0_and_of_the_mean_that_the_grid_tells(name: str) -> None:
    gaps = draw(name)
    assert gaps.shape == (200, 300)
    assert gaps.min() > 0
    near = 0.1 if name in ("mix", "co2") else 0.02  # a rate, or a stretch of the record, is the same for a sequence
    assert gaps.mean() == pytest.approx(grid(name).mean, rel=near)


@pytest.mark.parametrize("name", ALL)
def test_a_seed_gives_the_same_grid_again(name: str) -> None:
    assert np.array_equal(draw(name), draw(name))
    if name not in ("clean",) and not name.startswith("rate"):
        assert not np.array_equal(draw(name), draw(name, seed=1))


def test_the_training_grid_starts_at_0_with_steps_of_1() -> None:
    assert np.array_equal(times(draw("clean", 2, 5)), np.tile(np.arange(5.0), (2, 1)))


def test_jitter_moves_samples_by_so_much_at_most_and_keeps_their_order() -> None:
    moved = times(draw("jitter=0.3")) - np.arange(300)
    assert 0.29 < np.abs(moved).max() <= 0.3
    assert abs(moved.mean()) < 0.01


def test_jitter_of_more_than_a_step_leaves_time_running_forwards() -> None:
    assert draw("jitter=3").min() > 0


def test_skips_drop_so_many_samples() -> None:
    gaps = draw("skip=0.3")
    assert set(np.unique(gaps)) >= {1.0, 2.0, 3.0}
    assert np.mean(gaps > 1) == pytest.approx(0.3, abs=0.01)


def test_mix_varies_the_rate_between_sequences() -> None:
    rates = draw("mix").mean(1)
    assert 0.49 < rates.min() < 0.55
    assert 1.85 < rates.max() < 2.05


def test_the_gaps_of_the_co2_record_are_the_record_s() -> None:
    datasets = pytest.importorskip("statsmodels.datasets")
    weeks = np.flatnonzero(datasets.co2.load_pandas().data["co2"].notna().to_numpy())
    assert len(weeks) == CO2_SAMPLES
    assert np.array_equal(np.diff(weeks), co2_record()[1:])


def test_windows_of_the_co2_record_hold_its_gaps() -> None:
    assert set(np.unique(draw("co2"))) == {1.0, *map(float, set(CO2_GAPS.values()) - {5})}
    assert draw("co2", 2, CO2_SAMPLES + 10).shape == (2, CO2_SAMPLES + 10)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("jiter=0.3", "did you mean `jitter`"),
        ("jitter", "write a number behind it"),
        ("skip=much", "write a number behind it"),
        ("skip=1", "from 0 to 0.99"),
        ("rate=nan", "from 0.01 to 100"),
        ("clean=1", "no sampling grid"),
    ],
)
def test_what_is_no_grid_is_told(name: str, says: str) -> None:
    with pytest.raises(SmrError, match=says):
        grid(name)


def test_names_are_the_grids_own() -> None:
    assert all(grid(name).name == name for name in ALL)
    assert set(PLAIN) == {"clean", "mix", "co2"}
