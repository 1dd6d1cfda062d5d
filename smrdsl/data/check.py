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
        check_shapes(part, where)
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
    return data


def check_shapes(part: Part, where: str) -> None:
    """Raise `DataError` unless the arrays of a part belong to each other as `contract.py` says."""
    samples = part.u.shape if part.u.dtype.kind != "f" else part.u.shape[:-1]
    heads = (samples[:1],) if len(samples) == 3 else (samples[:1], samples)  # pairs have nothing for each sample
    reals = part.y.dtype.kind == "f"
    if (part.y.shape[:-1] if reals else part.y.shape) not in heads or part.y.size == 0:
        wanted = " or ".join(_written((*head, "k") if reals else head) for head in heads)
        kind = "reals" if reals else "whole numbers"
        raise DataError(f"{where}: y holds {kind} {part.y.shape}; of u {part.u.shape} they must be {wanted}")
    if part.t is not None and part.t.shape != samples:
        raise DataError(f"{where}: t must hold a time for each sample, {samples}; it is {part.t.shape}")
    if part.lengths is not None:
        _check_lengths(part.lengths, samples, where)


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


def _check_lengths(lengths: Array, samples: tuple[int, ...], where: str) -> None:
    if lengths.shape != samples[:-1] or lengths.dtype.kind not in "iu":
        raise DataError(f"{where}: lengths must be whole numbers {samples[:-1]}, one for each sequence")
    if lengths.min() < 1 or lengths.max() > samples[-1]:
        raise DataError(f"{where}: lengths must be from 1 to {samples[-1]}, the length of the rows")


def _written(shape: tuple[object, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"


def _at(row: int, place: list[int]) -> str:
    return f"sequence {row}" + (f", place {tuple(int(p) for p in place)}" if place else "")
