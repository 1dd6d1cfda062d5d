"""From what was recorded to parts: sequences drawn into them, windows cut from one record, tokens cut into rows."""

from __future__ import annotations

import numpy as np

from smrdsl.data.contract import Array, DataError, Part

SHARES = (0.8, 0.1, 0.1)
"""Of a set that has no parts of its own."""
Parts = tuple[Part, Part, Part]


def cuts(n: int, shares: tuple[float, float, float] = SHARES) -> tuple[int, int]:
    """Where the second and the third part of n things begin; none is empty if there are 3."""
    first = min(max(1, round(n * shares[0])), max(1, n - 2))
    second = min(max(first + 1, round(n * (shares[0] + shares[1]))), max(first + 1, n - 1))
    return first, second


def drawn(part: Part, seed: int = 0, shares: tuple[float, float, float] = SHARES) -> Parts:
    """Sequences in three parts, by a draw that is the same each time."""
    order = np.random.default_rng(seed).permutation(len(part))
    first, second = cuts(len(part), shares)
    return part.take(order[:first]), part.take(order[first:second]), part.take(order[second:])


def next_tokens(tokens: Array, length: int, what: str) -> Part:
    """Rows of a text, and for each place the token that follows. Views, where the text is mapped from disk too."""
    rows = (len(tokens) - 1) // length
    if rows < 1:
        raise DataError(
            f"{what} has {len(tokens):,} tokens, and a row of {length:,} and the token behind it are needed: "
            "name more text, or make rows shorter (--length)"
        )
    end = rows * length
    return Part(tokens[:end].reshape(rows, length), tokens[1 : end + 1].reshape(rows, length))


def windows(u: Array, y: Array, t: Array | None, length: int, stride: int) -> Part:
    """Windows of a record u (n, channels), y (n, k), t (n,); one every `stride` samples."""
    starts = np.arange(0, len(u) - length + 1, stride)
    rows = starts[:, None] + np.arange(length)
    return Part(u[rows], y[rows], None if t is None else t[rows])


def shares_of_record(n: int, length: int, what: str, shares: tuple[float, float, float] = SHARES) -> list[slice]:
    """Three stretches of a record, one behind the other, each long enough for a window."""
    if n < 3 * length:
        raise DataError(
            f"{what} is one record of {n:,} samples, too short for three parts that hold windows of {length:,}: "
            "make windows shorter (--length)"
        )
    first = min(max(length, round(n * shares[0])), n - 2 * length)
    second = min(max(first + length, round(n * (shares[0] + shares[1]))), n - length)
    return [slice(0, first), slice(first, second), slice(second, n)]


def filled(part: Part) -> Part:
    """What lies behind the ends of sequences becomes 0, and time goes on there in the middle step."""
    if part.lengths is None:
        return part
    axes = part.lengths.ndim + 1
    inside = np.arange(part.u.shape[axes - 1]) < part.lengths[..., None]

    def blank(array: Array) -> Array:
        return np.where(inside.reshape(inside.shape + (1,) * (array.ndim - axes)), array, 0)

    y = blank(part.y) if part.y.shape[:axes] == inside.shape else part.y
    t = part.t
    if t is not None:
        gaps = np.diff(t, axis=-1)[inside[..., 1:]]
        behind = np.cumsum(~inside, axis=-1) * (np.median(gaps) if gaps.size else 1.0)
        t = np.where(inside, t, np.take_along_axis(t, part.lengths[..., None] - 1, -1) + behind)
    return Part(blank(part.u), y, t, part.lengths)


def padded(rows: list[Array], length: int, fill: int = 0) -> tuple[Array, Array]:
    """Rows of tokens cut and filled to one length, and how much of each counts."""
    table = np.full((len(rows), length), fill, dtype=rows[0].dtype if rows else np.int64)
    lengths = np.ones(len(rows), dtype=np.int64)
    for i, row in enumerate(rows):
        cut = row[:length]
        table[i, : len(cut)] = cut
        lengths[i] = max(1, len(cut))
    return table, lengths
