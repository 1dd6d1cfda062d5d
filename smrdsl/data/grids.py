"""Sampling grids: when a signal is sampled, and how long before each sample the one before it was taken.

Time is counted in steps of the training grid. A grid is told by its gaps (batch, length), all above 0: the time before
each sample, 1 on the training grid. They are what a timed model takes as `dt`; `times` sums them up, so that the first
sample of the training grid stands at 0. Everything is numpy, and random only through the generator that is given.

    clean           every gap is 1
    jitter=j        sample i is taken at i + j U(-1, 1)
    skip=p          every sample is dropped with probability p, and the next one kept
    rate=r          every gap is r
    mix             jitter of 0.5 and a rate of its own for each sequence, log-uniform in 0.5..2: for training
    co2             the gaps of the weekly CO2 record of Mauna Loa, 1958 to 2001, in its years with missing weeks
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smrdsl.core.errors import SmrError, did_you_mean

Floats = NDArray[np.floating[Any]]
Rng = np.random.Generator

CO2_SAMPLES = 2225
"""Weeks of the record with a value, of 2284."""
CO2_GAPS: Mapping[int, int] = {
    6: 2, 8: 6, 15: 2, 17: 9, 30: 2, 34: 2, 44: 2, 54: 2, 211: 4, 226: 2, 232: 2,
    242: 2, 270: 2, 278: 19, 280: 3, 286: 2, 386: 4, 399: 2, 409: 3, 899: 2, 1303: 5, 1369: 2,
}  # fmt: skip
"""Sample -> weeks since the one before it, where that is more than 1 (the `co2` data of statsmodels)."""
CO2_STARTS = 300
"""A window starts at one of so many first samples: later on hardly a week is missing."""


def clean(rng: Rng, batch: int, length: int) -> Floats:
    return np.ones((batch, length))


def jitter(rng: Rng, batch: int, length: int, amount: float) -> Floats:
    moved = np.arange(length) + amount * rng.uniform(-1, 1, (batch, length))
    return _apart(np.diff(np.sort(moved, 1), axis=1, prepend=-1.0))


def skip(rng: Rng, batch: int, length: int, probability: float) -> Floats:
    return rng.geometric(1 - probability, (batch, length)).astype(float)


def rate(rng: Rng, batch: int, length: int, factor: float) -> Floats:
    return np.full((batch, length), float(factor))


def mix(rng: Rng, batch: int, length: int) -> Floats:
    factors = np.exp(rng.uniform(np.log(0.5), np.log(2), (batch, 1)))
    return factors * jitter(rng, batch, length, 0.5)


def co2(rng: Rng, batch: int, length: int) -> Floats:
    starts = rng.integers(0, CO2_STARTS, (batch, 1))
    return co2_record()[(starts + np.arange(length)) % CO2_SAMPLES]  # a longer window goes round


def co2_record() -> Floats:
    """Weeks before every sample of the record, (2225,)."""
    gaps = np.ones(CO2_SAMPLES)
    gaps[list(CO2_GAPS)] = list(CO2_GAPS.values())
    return gaps


def _apart(gaps: Floats) -> Floats:
    """No gap is 0 or less, as where the first sample moves before the origin."""
    return np.maximum(gaps, 1e-3)


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid by name. `mean` is its mean gap, what a known rate is."""

    name: str
    draw: Callable[[Rng, int, int], Floats]
    mean: float = 1.0

    def __call__(self, rng: Rng, batch: int, length: int) -> Floats:
        """Gaps (batch, length)."""
        return self.draw(rng, batch, length)


PLAIN: Mapping[str, Grid] = {
    "clean": Grid("clean", clean),
    "mix": Grid("mix", mix, 1.5 / np.log(4)),
    "co2": Grid("co2", co2, float(co2_record()[:CO2_STARTS].mean())),
}
RANGES: Mapping[str, tuple[float, float]] = {"jitter": (0.0, 10.0), "skip": (0.0, 0.99), "rate": (0.01, 100.0)}
"""The grids that take a number, and what it may be."""
STUDY = (
    "clean", "jitter=0.1", "jitter=0.3", "jitter=0.5", "skip=0.1", "skip=0.3",
    "rate=0.5", "rate=0.75", "rate=1.5", "rate=2", "co2",
)  # fmt: skip
"""The grids that models are probed on."""


def grid(text: str) -> Grid:
    """The grid of a name, such as `clean`, `jitter=0.3` or `mix`. Raises `SmrError`."""
    name, _, number = text.partition("=")
    if name in PLAIN and not number:
        return PLAIN[name]
    if name not in RANGES:
        known = (*PLAIN, *RANGES)
        hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
        raise SmrError(f"no sampling grid `{text}`{hint}")
    low, high = RANGES[name]
    try:
        value = float(number)
    except ValueError:
        raise SmrError(f"the grid `{text}`: write a number behind it, as in `{name}={max(low, 0.3):g}`") from None
    if not low <= value <= high:
        raise SmrError(f"the grid `{text}`: the number is from {low:g} to {high:g}")
    match name:
        case "jitter":
            return Grid(text, lambda rng, batch, length: jitter(rng, batch, length, value))
        case "skip":
            return Grid(text, lambda rng, batch, length: skip(rng, batch, length, value), 1 / (1 - value))
        case _:
            return Grid(text, lambda rng, batch, length: rate(rng, batch, length, value), value)


def times(gaps: Floats) -> Floats:
    """When the samples are taken, in steps; the last axis is time."""
    return np.cumsum(gaps, axis=-1) - 1.0
