"""Data sets that come with us or are generated: what is in them, and that they are the same each time."""

from __future__ import annotations

import random

import numpy as np
import pytest

from smrdsl.data import cache
from smrdsl.data.baselines import baselines
from smrdsl.data.contract import Baseline, DataError, Request
from smrdsl.data.listops import ListopsOptions, tree, value
from smrdsl.data.pathfinder import Scale, picture
from smrdsl.data.registry import datasets, load


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    return tmp_path / "data"


def test_every_data_set_says_what_it_is():
    names = {"aan", "cifar", "co2", "digits", "energy", "imdb", "listops", "mg", "next", "npz", "osc"}
    assert datasets().keys() >= names | {"pathfinder", "sunspots", "text", "wikitext"}
    assert all(d.summary.endswith(".") and name == d.name for name, d in datasets().items())


def test_digits():
    pytest.importorskip("sklearn")
    data = load("digits")
    assert [len(p) for p in data.parts.values()] == [1258, 180, 359]
    assert data.train.u.max() == 1
    found = {b.name: b.value for b in baselines(data)}
    assert 0.95 < found["logistic regression"] < 1
    assert found["majority class"] < 0.2
    with pytest.raises(DataError, match="the digits have 64 points"):
        load("digits", Request(length=63))


def test_co2_keeps_its_gaps_and_persistence_is_in_ppm():
    pytest.importorskip("statsmodels")
    data = load("co2")
    assert data.train.t is not None
    gaps = np.diff(data.train.t, axis=1)
    assert gaps.min() == 7
    assert gaps.max() == 19 * 7
    (persistence,) = baselines(data)
    assert (persistence.name, data.unit) == ("persistence", "ppm")
    assert 0.3 < persistence.value < 0.8
    assert data.train.t.max() < data.test.t.min()


def test_sunspots():
    pytest.importorskip("statsmodels")
    data = load("sunspots", Request(length=20))
    assert data.train.u.shape[1:] == (20, 1)
    assert np.array_equal(data.train.u[0, 1:], data.train.y[0, :-1])


@pytest.mark.parametrize("name", ["next", "osc", "mg", "energy"])
def test_signals_can_be_sampled_anywhere(name):
    """Between two samples a curve is what it is, not a line; a sequence keeps its curve in any selection."""
    data = load(name, Request(length=16), {"train": 6, "held_out": 3})
    part = data.train.take(np.array([4, 1]))
    assert part.resample is not None
    times = np.tile(np.arange(16.0), (2, 1))
    u, y = part.resample(np.arange(2), times)
    assert np.array_equal(u, data.train.u[[4, 1]])
    assert np.array_equal(y, data.train.y[[4, 1]])
    if name in ("next", "mg"):
        later, _ = part.resample(np.arange(2), times + 1)
        np.testing.assert_allclose(later, y, rtol=1e-5, atol=1e-6)


def test_lists_come_out_as_they_should():
    names = {"MIN": 11, "MAX": 12, "MED": 13, "SM": 14, "]": 15}
    cases = {
        "MAX 2 9 MIN 4 7 ] 0 ]": 9,
        "MED 1 4 8 9 ]": 6,
        "MED 5 6 ]": 5,
        "SM 9 9 3 ]": 1,
        "MIN 3 SM 5 5 ] ]": 0,
        "7": 7,
    }
    for text, result in cases.items():
        assert value([names.get(w) or int(w) + 1 for w in text.split()]) == result


def test_listops_are_new_in_range_and_kept(folder):
    options = {"train": 40, "held_out": 5}
    data = load("listops", Request(length=50), options)
    assert data.train.u.shape == (40, 50)
    rows = [row[:n].tolist() for part in data.parts.values() for row, n in zip(part.u, part.lengths, strict=True)]
    assert len({tuple(row) for row in rows}) == 50
    assert all(51 // 4 < len(row) < 51 for row in rows)
    answers = [int(y) for part in data.parts.values() for y in part.y]
    assert [value(row) for row in rows] == answers
    (kept,) = folder.glob("listops-*.npz")
    before = kept.stat().st_mtime_ns
    assert np.array_equal(load("listops", Request(length=50), options).train.u, data.train.u)
    assert kept.stat().st_mtime_ns == before
    kept.write_bytes(kept.read_bytes()[:100])  # cut off: made anew
    assert np.array_equal(load("listops", Request(length=50), options).train.u, data.train.u)
    load("listops", Request(length=50), options | {"seed": 1})
    assert len(list(folder.glob("listops-*.npz"))) == 2


def test_trees_have_no_more_levels_than_they_may():
    draw = random.Random(0)
    for _ in range(200):
        tokens = tree(draw, 1, ListopsOptions(max_depth=3, max_args=3), 10_000)
        depth = np.cumsum([1 if t in (11, 12, 13, 14) else -1 if t == 15 else 0 for t in tokens])
        assert depth.max() <= 2
        assert depth[-1] == 0


def test_a_list_that_cannot_be_is_refused():
    with pytest.raises(DataError, match="no list is longer than 60 and shorter than 51"):
        load("listops", Request(length=50), {"min_length": 60})


def test_pictures_are_the_same_each_time_and_hold_two_marks(folder):
    options = {"train": 6, "held_out": 2, "size": 24, "dashes": 3}
    data = load("pathfinder", Request(), options)
    assert data.train.u.shape == (6, 576, 1)
    assert np.array_equal(load("pathfinder", Request(length=576), options).test.u, data.test.u)
    one, label = picture(np.random.default_rng((0, 0)), Scale.of(24), 3, 1.8)
    assert np.array_equal(one / 255, data.train.u[0, :, 0].astype(np.float64).round(8)) or label == data.train.y[0]
    with pytest.raises(DataError, match="no square picture has 500 points"):
        load("pathfinder", Request(length=500))
    with pytest.raises(DataError, match="two curves of 18 dashes find no room in 16 x 16"):
        load("pathfinder", Request(), {"size": 16, "dashes": 18})


def test_curves_of_14_dashes_find_room_in_32_points():
    """As in the arena's pictures, which are less straight than those of the first paper."""
    one, _ = picture(np.random.default_rng((0, 1)), Scale.of(32), 14, 1.0)
    assert (one > 0).mean() > 0.1


def test_the_marks_of_one_curve_are_told_apart():
    """Both labels occur, about as often."""
    labels = [picture(np.random.default_rng((3, i)), Scale.of(24), 2, 1.8)[1] for i in range(40)]
    assert 8 < sum(labels) < 32


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file"))
    assert cache.cached("x", {}, lambda: {"a": np.arange(3)})["a"].tolist() == [0, 1, 2]


def test_the_figures_of_text(tmp_path):
    """Of a text that repeats itself nothing is new; of noise every byte is."""
    (tmp_path / "same").write_bytes(b"abcd" * 5000)
    (tmp_path / "noise").write_bytes(np.random.default_rng(0).integers(0, 256, 40_000, dtype=np.uint8).tobytes())
    found = {}
    for name in ("same", "noise"):
        for baseline in baselines(load(f"text:{tmp_path / name}", Request(length=50))):
            assert isinstance(baseline, Baseline)
            found[name, baseline.name] = baseline.value
    assert found["same", "4-gram"] < 0.1
    assert found["same", "bz2"] < 1
    assert 7.9 < found["noise", "4-gram"] < 9
    assert found["noise", "bz2"] > 7.9
