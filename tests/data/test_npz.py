"""Own data: shapes, parts, times, and what is not in order."""

from __future__ import annotations

import numpy as np
import pytest

from smrdsl.data.contract import DataError, Request
from smrdsl.data.registry import load

N, L = 12, 5


def write(tmp_path, **arrays):
    np.savez(tmp_path / "own.npz", **arrays)
    return str(tmp_path / "own.npz")


def test_sequences_with_parts_of_their_own(tmp_path):
    part = np.arange(N) % 3
    u = np.arange(N * L, dtype=float).reshape(N, L, 1)
    data = load(write(tmp_path, u=u, y=np.arange(N) % 4, part=part))
    for i, found in enumerate(data.parts.values()):
        assert np.array_equal(found.u, u[part == i].astype(np.float32))
    assert data.classes == 4


def test_without_answers_the_next_token_is_one(tmp_path):
    u = np.arange(N * L).reshape(N, L) % 7
    data = load(write(tmp_path, u=u))
    assert data.vocab == 7
    assert data.train.u.shape == (10, L - 1)
    assert np.array_equal(data.train.u[:, 1:], data.train.y[:, :-1])


def test_a_record_is_cut_in_time(tmp_path):
    u, t = np.sin(np.arange(100.0)), np.cumsum(1 + np.arange(100) % 2)
    data = load(write(tmp_path, u=u, t=t), Request(length=9))
    assert data.train.u.shape[1:] == data.train.y.shape[1:] == (9, 1)
    assert np.array_equal(data.train.u[0, 1:], data.train.y[0, :-1])
    assert data.train.t.max() < data.valid.t.min() < data.valid.t.max() < data.test.t.min()


BROKEN = {
    "no u": ({"x": np.zeros(3)}, "there is no u in it, only x"),
    "an unknown name": ({"u": np.zeros((N, L, 1)), "z": np.zeros(3)}, "`z` is unknown"),
    "objects": ({"u": np.array([object()] * 3)}, "is no file that numpy.savez writes"),
    "nothing": ({"u": np.zeros((0, L, 1))}, "u is empty"),
    "a label below 0": (
        {"u": np.zeros((N, L, 1)), "y": np.arange(N) - 1},
        r"holds -1 at sequence \d+: labels are from",
    ),
    "a token below 0": (
        {"u": np.arange(N * L).reshape(N, L) - 1},
        r"holds -1 at sequence \d+, place \(0,\): tokens are",
    ),
    "not a number": (
        {
            "u": np.where(np.arange(N * L).reshape(N, L, 1) == 7, np.nan, 0),
            "y": np.zeros(N, int),
            "part": np.arange(N) % 3,
        },
        r"own\.npz, valid: u holds nan at sequence 0, place \(2, 0\): numbers must be finite",
    ),
    "time that runs backwards": (
        {"u": np.zeros((N, L, 1)), "t": np.tile([0.0, 1, 3, 2, 4], (N, 1)), "y": np.zeros(N, int)},
        r"train: t runs backwards at sequence 0, place \(2,\): 3, then 2",
    ),
    "time that stands still": (
        {"u": np.sin(np.arange(90.0)), "t": np.arange(90) // 2},
        r"train: t stands still at sequence 0, place \(0,\): 0, then 0",
    ),
    "another number of answers": ({"u": np.zeros((N, L, 1)), "y": np.zeros(3)}, "u has 12 sequences, y has 3"),
    "lengths beyond the end": (
        {"u": np.zeros((N, L, 1)), "y": np.zeros(N, int), "lengths": np.full(N, L + 1)},
        "lengths must be from 1 to 5",
    ),
    "a part that is none": ({"u": np.zeros((N, L, 1)), "y": np.zeros(N, int), "part": np.full(N, 5)}, "part is 0 "),
    "an empty part": (
        {"u": np.zeros((N, L, 1)), "y": np.zeros(N, int), "part": np.arange(N) % 2},
        "own.npz, test: there is no sequence in it",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_not_in_order(case, tmp_path):
    arrays, message = BROKEN[case]
    with pytest.raises(DataError, match=message):
        load(write(tmp_path, **arrays), Request(length=8 if "stands" in case else None))
