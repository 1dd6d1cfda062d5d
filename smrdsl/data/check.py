"""Whether data is in order: every part has sequences, numbers are finite and in their range, time runs forwards."""

from __future__ import annotations

import numpy as np

from smrdsl.data.contract import Array, Data, DataError, Part

ROWS = 1 << 22
"""How many numbers are looked at in one go, so that a file mapped from disk stays there."""


def check(data: Data) -> Data:
    """The data itself. Raises `DataError` with the part, the sequence and the place of what is not in order."""
    for name, part in data.parts.items():
        where = f"{data.name}, {name}"
        if len(part) == 0 or part.u.size == 0:
            raise DataError(f"{where}: there is no sequence in it")
        _check_shapes(part, where)
        if part.u.dtype.kind == "f":
            _finite(part.u, f"{where}: u")
        elif data.vocab is not None:
            _below(part.u, data.vocab, f"{where}: u", "tokens")
        if part.y.dtype.kind == "f":
            _finite(part.y, f"{where}: y")
        else:
            bound = data.classes if part.y.ndim == 1 else data.vocab
            _below(part.y, bound, f"{where}: y", "labels" if part.y.ndim == 1 else "tokens")
        if part.t is not None:
            _forwards(part.t, where)
        if part.lengths is not None:
            _lengths(part, where)
    return data


def _check_shapes(part: Part, where: str) -> None:
    for name, array in (("y", part.y), ("t", part.t), ("lengths", part.lengths)):
        if array is not None and len(array) != len(part):
            raise DataError(f"{where}: u has {len(part)} sequences, {name} has {len(array)}")
    samples = part.u.shape if part.u.dtype.kind != "f" else part.u.shape[:-1]
    if part.t is not None and part.t.shape != samples:
        raise DataError(f"{where}: t must hold a time for each sample, {samples}; it is {part.t.shape}")


def _blocks(array: Array) -> range:
    """Where blocks of rows start."""
    rows = max(1, ROWS // max(1, array[:1].size))
    return range(0, len(array), rows)


def _finite(array: Array, what: str) -> None:
    blocks = _blocks(array)
    for start in blocks:
        good = np.isfinite(array[start : start + blocks.step])
        if not good.all():
            row, *place = np.argwhere(~good)[0]
            value = array[(start + row, *place)]
            raise DataError(f"{what} holds {value} at {_at(start + row, place)}: numbers must be finite")


def _below(array: Array, bound: int | None, what: str, kind: str) -> None:
    blocks = _blocks(array)
    for start in blocks:
        block = array[start : start + blocks.step]
        wrong = (block < 0) if bound is None else (block < 0) | (block >= bound)
        if wrong.any():
            row, *place = np.argwhere(wrong)[0]
            value = array[(start + row, *place)]
            top = "" if bound is None else f" to {bound - 1}"
            raise DataError(f"{what} holds {value} at {_at(start + row, place)}: {kind} are from 0{top}")


def _forwards(t: Array, where: str) -> None:
    _finite(t, f"{where}: t")
    wrong = np.diff(t, axis=-1) <= 0
    if wrong.any():
        row, *place = np.argwhere(wrong)[0]
        before, after = t[(row, *place)], t[(row, *place[:-1], place[-1] + 1)]
        told = "stands still" if before == after else "runs backwards"
        raise DataError(f"{where}: t {told} at {_at(row, place)}: {before:g}, then {after:g}")


def _lengths(part: Part, where: str) -> None:
    assert part.lengths is not None
    axes = part.u.ndim - (part.u.dtype.kind == "f")
    length = part.u.shape[axes - 1]
    if part.lengths.shape != part.u.shape[: axes - 1] or part.lengths.dtype.kind not in "iu":
        raise DataError(f"{where}: lengths must be whole numbers {part.u.shape[: axes - 1]}, one for each sequence")
    if part.lengths.min() < 1 or part.lengths.max() > length:
        raise DataError(f"{where}: lengths must be from 1 to {length}, the length of the rows")


def _at(row: int, place: list[int]) -> str:
    return f"sequence {row}" + (f", place {tuple(int(p) for p in place)}" if place else "")
