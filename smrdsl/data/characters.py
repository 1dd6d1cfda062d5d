"""Characters as tokens: the most frequent ones of the training texts, as many as the model has room for.

0 fills up, 1 is any character that is not in the list, from 2 on by falling frequency
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from smrdsl.data.contract import Array

FILL, UNKNOWN, FIRST = 0, 1, 2


def alphabet(texts: Iterable[str], vocab: int | None) -> dict[str, int]:
    """Character -> token; characters of equal frequency in the order of their code points."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    ranked = sorted(counts, key=lambda c: (-counts[c], c))
    most = len(ranked) if vocab is None else max(0, vocab - FIRST)
    return {c: FIRST + i for i, c in enumerate(ranked[:most])}


def encode(text: str, known: dict[str, int], length: int) -> Array:
    """The first tokens of a text."""
    return np.array([known.get(c, UNKNOWN) for c in text[:length]], dtype=np.int32)
