"""Pairs: a model of pairs of sequences runs on both at once, as twice as large a batch."""

from __future__ import annotations

from torch import Tensor


def fold(x: Tensor | None) -> Tensor | None:
    """(batch, 2, ...) -> (2 batch, ...), the two of a pair one behind the other; nothing of nothing."""
    return None if x is None else x.flatten(0, 1)
