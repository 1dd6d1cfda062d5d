"""npz: own data, as numpy.savez writes it.

    u        reals (n, length, channels), or tokens (n, length); one record: reals (samples,) or (samples, channels),
             tokens (samples,), which is cut into windows
    y        classes (n,), reals (n,), (n, k) or (n, length, k), tokens (n, length); of a record reals (samples, k);
             without it the next sample or token is to be said
    t        (n, length), or (samples,) of a record: when samples were taken, in any unit
    lengths  (n,): how much of each sequence counts; what lies behind may be anything
    part     (n,): 0 to train on, 1 to choose by, 2 to be judged by; without it they are drawn 8 : 1 : 1

A record is cut in time, 8 : 1 : 1. Objects are not read (allow_pickle=False).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field

from smrdsl.data.arrays import read_arrays
from smrdsl.data.check import check_shapes
from smrdsl.data.contract import Array, Data, DataError, DataSet, Options, Part, Request, need
from smrdsl.data.splits import drawn, filled, next_tokens, shares_of_record, windows

LENGTH = 128
NAMES = ("u", "y", "t", "lengths", "part")


class NpzOptions(Options):
    stride: int | None = Field(default=None, gt=0, description="Of a record: a window begins so many samples behind "
                               "the one before it; by default half its length.")  # fmt: skip
    seed: int = Field(default=0, ge=0, description="Of the draw into parts.")


def load(options: NpzOptions, request: Request) -> Data:
    path = need(request, "file")
    arrays = _read(path)
    if _one_record(arrays["u"]):
        return _of_record(path, arrays, options, request)
    return _of_sequences(path, arrays, options)


def _read(path: Path) -> dict[str, Array]:
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty")
    arrays = read_arrays(path)
    if "u" not in arrays:
        raise DataError(f"{path}: there is no u in it, only {', '.join(arrays) or 'nothing'}")
    if odd := sorted(arrays.keys() - set(NAMES)):
        raise DataError(f"{path}: `{odd[0]}` is unknown; there are {', '.join(NAMES)}")
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub" or array.ndim == 0:
            raise DataError(f"{path}: {name} holds {array.dtype if array.ndim else 'a single value'}, not numbers")
        if name == "t" or array.dtype.kind == "f":
            with np.errstate(over="ignore"):  # what has no room becomes infinite, and is told as such
                arrays[name] = array.astype(np.float64 if name == "t" else np.float32)
    u, kind = arrays["u"], "samples" if _one_record(arrays["u"]) else "sequences"
    if u.size == 0:
        raise DataError(f"{path}: u is empty")
    for name, array in arrays.items():
        if len(array) != len(u):
            raise DataError(f"{path}: u has {len(u)} {kind}, {name} has {len(array)}")
    return arrays


def _one_record(u: Array) -> bool:
    return u.ndim == 1 or (u.dtype.kind == "f" and u.ndim == 2)


def _of_sequences(path: Path, arrays: dict[str, Array], options: NpzOptions) -> Data:
    u, y, t = arrays["u"], arrays.get("y"), arrays.get("t")
    if u.dtype.kind == "f" and u.ndim not in (3, 4):
        raise DataError(f"{path}: u must be (n, length, channels) or a record (samples, channels), it is {u.shape}")
    if u.dtype.kind != "f" and u.ndim not in (2, 3):
        raise DataError(f"{path}: tokens must be (n, length) or one record (samples,), u is {u.shape}")
    given, lengths = y is not None, arrays.get("lengths")
    if y is not None and y.ndim == 1:
        y = y[:, None] if y.dtype.kind == "f" else y.astype(np.int64)
    if y is None:
        if u.ndim == (4 if u.dtype.kind == "f" else 3):
            raise DataError(f"{path}: pairs of sequences have no next sample to say; give y")
        if u.shape[1] == 1 or (lengths is not None and lengths.min() < 2):
            raise DataError(f"{path}: a sequence of one sample or none has no next one; give y")
        u, y, t = u[:, :-1], u[:, 1:], t if t is None else t[:, :-1]
        lengths = None if lengths is None else lengths - 1
    whole = Part(u, y, t, lengths)
    check_shapes(whole, str(path))
    return _data(path, _parts(path, filled(whole), arrays.get("part"), options), ahead=not given)


def _parts(path: Path, whole: Part, part: Array | None, options: NpzOptions) -> tuple[Part, ...]:
    if part is None:
        if len(whole) < 3:
            raise DataError(f"{path}: {len(whole)} sequences cannot be drawn into three parts")
        return drawn(whole, options.seed)
    if part.ndim != 1 or not np.isin(part, (0, 1, 2)).all():
        raise DataError(f"{path}: part is 0 (train), 1 (valid) or 2 (test) for each sequence")
    return tuple(whole.take(np.flatnonzero(part == i)) for i in range(3))


def _of_record(path: Path, arrays: dict[str, Array], options: NpzOptions, request: Request) -> Data:
    """Cut in time first, so that no window reaches from one part into another."""
    u, y, t = arrays["u"], arrays.get("y"), arrays.get("t")
    what = f"{path}: u of {u.dtype} {u.shape}"
    length = request.length or LENGTH
    stride = options.stride or max(1, length // 2)
    if odd := [name for name in ("lengths", "part") if name in arrays]:
        raise DataError(f"{path}: {odd[0]} is for sequences, and u is one record")
    if u.dtype.kind != "f":
        if y is not None or t is not None:
            raise DataError(f"{path}: a record of tokens has neither y nor t; cut it into sequences (n, length)")
        stretches = shares_of_record(len(u), length + 1, what)
        return _data(path, tuple(next_tokens(u[s], length, what) for s in stretches), ahead=False)
    u = u.reshape(len(u), -1)
    given = y is not None
    if y is None:
        u, y, t = u[:-1], u[1:], None if t is None else t[:-1]
    if y.dtype.kind != "f" or y.ndim > 2:
        raise DataError(f"{path}: y of a record must be reals (samples, k), it is {y.dtype} {y.shape}; "
                        "for classes cut the record into sequences (n, length, channels)")  # fmt: skip
    y = y.reshape(len(y), -1)
    stretches = shares_of_record(len(u), length, what)
    parts = tuple(windows(u[s], y[s], None if t is None else t[s], length, stride) for s in stretches)
    return _data(path, parts, ahead=not given)


def _data(path: Path, parts: tuple[Part, ...], *, ahead: bool) -> Data:
    """How many tokens and classes there are is what is found in all parts."""
    train, valid, test = parts
    reals, filled = train.y.dtype.kind == "f", [part for part in parts if len(part)]
    tokens = None if train.u.dtype.kind == "f" else 1 + max(int(part.u.max()) for part in filled)
    vocab, classes = tokens, None
    if not reals and train.y.ndim == 1:
        classes = 1 + max(int(part.y.max()) for part in filled)
    elif not reals:
        vocab = max(tokens or 0, 1 + max(int(part.y.max()) for part in filled))
    return Data(path.name, train, valid, test, vocab=vocab, classes=classes, ahead=ahead and reals, words=True)


DATASET = DataSet("npz", "Own data, as numpy.savez writes it; its path alone will do.", load, NpzOptions,
                  path="an .npz file")  # fmt: skip
