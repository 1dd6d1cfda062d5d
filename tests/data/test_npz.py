"""Own data: shapes, parts, times, and what is not in order."""

from __future__ import annotations

import contextlib
import io
import zipfile

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


def test_what_lies_behind_the_ends_of_sequences_may_be_anything(tmp_path):
    """It becomes 0, and time goes on in the middle step."""
    inside = np.arange(L) < 3
    u, t = np.where(inside[:, None], 1.0, np.nan), np.where(inside, np.arange(L) * 2.0, 0.0)
    rows = {"u": np.tile(u, (N, 1, 1)), "t": np.tile(t, (N, 1)), "lengths": np.full(N, 3)}
    data = load(write(tmp_path, **rows, y=np.zeros(N, int)))
    assert data.train.u[0, :, 0].tolist() == [1, 1, 1, 0, 0]
    assert data.train.t[0].tolist() == [0, 2, 4, 6, 8]
    ahead = load(write(tmp_path, **rows))
    assert ahead.train.lengths.tolist() == [2] * len(ahead.train)
    assert ahead.train.y[0, :, 0].tolist() == [1, 1, 0, 0]


def test_one_number_for_each_sequence(tmp_path):
    data = load(write(tmp_path, u=np.zeros((N, L, 1)), y=np.arange(N) / 2))
    assert data.train.y.shape == (10, 1)


def test_an_array_that_claims_more_than_there_is_gets_no_memory(tmp_path):
    """The header of u says 40 TB; 8 bytes follow."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 5, 1)})
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as file:
        file.writestr("u.npy", header.getvalue() + bytes(8))
    with pytest.raises(DataError, match=r"u\.npy claims 40,000,000,000,000 bytes, and has 8"):
        load(str(tmp_path / "own.npz"))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_with_odd_bytes_is_refused_or_read(save, tmp_path):
    path = tmp_path / "own.npz"
    save(path, u=np.sin(np.arange(N * L)).reshape(N, L, 1), y=np.arange(N) % 3)
    whole, draw = path.read_bytes(), np.random.default_rng(0)
    for _ in range(150):
        odd = bytearray(whole)
        for place in draw.integers(0, len(odd), 2):
            odd[place] = draw.integers(256)
        path.write_bytes(odd)
        with contextlib.suppress(DataError):
            load(str(path))


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
    "time without a sign that runs backwards": (
        {"u": np.zeros((N, L, 1)), "t": np.tile(np.arange(L, 0, -1, dtype=np.uint32), (N, 1)), "y": np.zeros(N, int)},
        "t runs backwards",
    ),
    "a single value": ({"u": np.zeros((N, L, 1)), "y": np.int64(3)}, "y holds a single value, not numbers"),
    "no room in 32 bits": ({"u": np.full((N, L, 1), 1e300), "y": np.zeros(N, int)}, "u holds inf at sequence 0"),
    "tokens of another length": (
        {"u": np.zeros((N, L), int), "y": np.zeros((N, L + 1), int)},
        r"y holds whole numbers \(12, 6\); of u \(12, 5\) they must be \(12,\) or \(12, 5\)",
    ),
    "reals of another length": (
        {"u": np.zeros((N, L, 1)), "y": np.zeros((N, L + 1, 2))},
        r"y holds reals \(12, 6, 2\); of u \(12, 5, 1\) they must be \(12, k\) or \(12, 5, k\)",
    ),
    "pairs without answers": ({"u": np.zeros((N, 2, L, 1))}, "pairs of sequences have no next sample to say"),
    "lengths of one sample": (
        {"u": np.zeros((N, L, 1)), "lengths": np.ones(N, int)},
        "a sequence of one sample or none has no next one",
    ),
    "a record that is too short": (
        {"u": np.zeros(300)},
        r"own\.npz: u of float32 \(300,\) is one record of 299 samples, too short .*--length",
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
