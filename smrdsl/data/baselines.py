"""What is reached without the model, computed from the data at hand, on its test part.

classes    the class that is most frequent in training
bytes      bz2, and an n-gram that mixes the orders 0 to 3
reals      the value of now as that of a while later (persistence), else the mean
"""

from __future__ import annotations

import bz2

import numpy as np

from smrdsl.data.contract import Array, Baseline, Data, Part

MOST = 1 << 21
"""Bytes of training text that the n-gram counts, and of the test text that it is asked."""
ORDERS = 4


def baselines(data: Data) -> list[Baseline]:
    """Those of its kind, and its own."""
    if data.train.y.dtype.kind != "f":
        kind = [majority] if data.train.y.ndim == 1 else []
    else:
        kind = [persistence if data.ahead else mean]
    return [found for make in (*kind, *data.baselines) if (found := make(data)) is not None]


def majority(data: Data) -> Baseline:
    likeliest = np.bincount(data.train.y).argmax()
    return Baseline("majority class", "accuracy", float((data.test.y == likeliest).mean()))


def persistence(data: Data) -> Baseline:
    """That it stays as it is."""
    return Baseline("persistence", "rmse", data.scale * _rmse(data.test, data.test.u[..., : data.test.y.shape[-1]]))


def mean(data: Data) -> Baseline:
    axes = tuple(range(data.train.y.ndim - 1))
    return Baseline("mean", "rmse", data.scale * _rmse(data.test, data.train.y.mean(axes)))


def _rmse(part: Part, guess: Array) -> float:
    return float(np.sqrt(np.mean((part.y - guess) ** 2, dtype=np.float64)))


def compressed(data: Data) -> Baseline:
    """bz2 at its best, of the test text by itself."""
    text = data.test.u.reshape(-1).tobytes()
    return Baseline("bz2", "bits_per_byte", 8 * len(bz2.compress(text, 9)) / len(text))


def ngram(data: Data) -> Baseline:
    """Counts of the last 0 to 3 bytes, each order blended with the one below it (Witten and Bell's weights)."""
    train, test = (part.u.reshape(-1)[:MOST].astype(np.int64) for part in (data.train, data.test))
    p = np.full(len(test), 1 / 256)
    for order in range(ORDERS):
        seen_pairs, pair_counts = np.unique(_codes(train, order, with_next=True), return_counts=True)
        seen, counts = np.unique(_codes(train, order, with_next=False), return_counts=True)
        kinds = np.bincount(np.searchsorted(seen, seen_pairs // 256), minlength=len(seen))
        context = _codes(test, order, with_next=False)
        total = _look(seen, counts, context)
        distinct = _look(seen, kinds, context)
        pair = _look(seen_pairs, pair_counts, _codes(test, order, with_next=True))
        weight = np.where(total > 0, total / np.maximum(total + distinct, 1), 0.0)
        p[order:] = weight * pair / np.maximum(total, 1) + (1 - weight) * p[order:]
    return Baseline(f"{ORDERS}-gram", "bits_per_byte", float(-np.log2(p).mean()))


def _codes(text: Array, order: int, *, with_next: bool) -> Array:
    """For every place behind the first `order`: the bytes before it, as one number, with the byte there or without."""
    count = len(text) - order
    code = np.zeros(count, dtype=np.int64)
    for i in range(order + with_next):
        code = code * 256 + text[i : i + count]
    return code


def _look(keys: Array, values: Array, wanted: Array) -> Array:
    """The values of sorted keys, 0 where there is no such key."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)
