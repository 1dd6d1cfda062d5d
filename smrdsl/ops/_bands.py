"""Bands: a vocabulary in parts, frequent words first, each with vectors of a width of its own (Baevski & Auli 2018).

Words are numbered by falling frequency: band i goes from cutoff i - 1 to cutoff i, the last to the end of the
vocabulary, and has vectors of width / div^i. `embed` and `adaptive_softmax` share them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise, repeat

from smrdsl.ops.contract import Misfit


@dataclass(frozen=True, slots=True)
class Band:
    """The words from `start` on, `size` of them, with vectors of `width`."""

    start: int
    size: int
    width: int


def bands(name: str, vocab: int, width: int, cutoffs: list[int], div: float) -> tuple[Band, ...]:
    """The bands of a vocabulary. Raises `Misfit` where a cutoff or a width leaves a band empty."""
    if cutoffs[-1] >= vocab:
        message = f"{name}: the last cutoff, {cutoffs[-1]:,}, must be below the size of the vocabulary, {vocab:,}"
        raise Misfit(message, argument="cutoffs", code="E0305")
    if math.prod(repeat(div, len(cutoffs))) > width:  # not a power, which may be too large for a number
        message = f"{name}: {width} / {div:g}^{len(cutoffs)} leaves no channel for the last band; lower div"
        raise Misfit(message, argument="div", code="E0305")
    ends = [0, *cutoffs, vocab]
    widths = [int(width // div**i) for i in range(len(cutoffs) + 1)]
    return tuple(Band(start, end - start, w) for (start, end), w in zip(pairwise(ends), widths, strict=True))


def increasing(cutoffs: list[int] | None) -> list[int] | None:
    """Check what a user gives as cutoffs. Raises `ValueError`."""
    if cutoffs == []:
        raise ValueError("cutoffs must have one at least")
    for before, cutoff in pairwise([0, *(cutoffs or ())]):
        if cutoff <= before:
            raise ValueError(f"cutoffs must be increasing whole numbers above 0, and {cutoff} follows {before}")
    return cutoffs
