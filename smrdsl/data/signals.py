"""Signals of continuous time with a target at every time, so that a model can be trained on one grid and asked on any.

Time is counted in steps of the training grid (`grids.py`). A task draws curves; a curve is sampled wherever one wants,
and its target is true at those very times, whatever the grid:

    next      sum of three sines of 0.2 to 1.5 Hz, a step being 0.1 s; the target is its value one step later
    osc       the same signal drives an oscillator of 0.5 Hz, damping 0.3; the target is how far that is out, at rest
              with the drive
    mg        Mackey-Glass series with a delay of 17, a step being 2 units of time; the target is its value a step later
    energy    the sines again; the target is s^2 + (s' / 2 pi)^2, which no linear map of the signal can give

All draws come from the generator that is given; drawn with one seed, a task has the same curves on all grids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smrdsl.core.errors import SmrError, did_you_mean
from smrdsl.data.grids import Floats, Grid, Rng, times

SECONDS = 0.1
"""A step of the sines."""
UNITS = 2.0
"""A step of the Mackey-Glass series, in its units of time."""
SPAN = 1024
"""How many steps of it are known at least, from where a curve starts."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Some curves: `value` and `target` take times (batch, length), in steps, to numbers of that shape."""

    value: Callable[[Floats], Floats]
    target: Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class Task:
    """A task by name; one input and one output channel."""

    name: str
    summary: str
    draw: Callable[[Rng, int, bool], Curves]

    def curves(self, rng: Rng, batch: int, *, held_out: bool = False) -> Curves:
        """`batch` curves; held out are those that no training draw can meet."""
        return self.draw(rng, batch, held_out)


def sample(
    task: Task, grid: Grid, seed: int | tuple[int, ...], batch: int, length: int, *, held_out: bool = False
) -> tuple[Floats, Floats, Floats]:
    """Inputs, targets and gaps, each (batch, length). The curves of a seed are the same on all grids."""
    curve_seed, grid_seed = np.random.SeedSequence(seed).spawn(2)
    curves = task.curves(np.random.default_rng(curve_seed), batch, held_out=held_out)
    gaps = grid(np.random.default_rng(grid_seed), batch, length)
    t = times(gaps)
    return curves.value(t), curves.target(t), gaps


# --- sines


@dataclass(frozen=True, slots=True)
class Sines:
    """sum_k a_k sin(w_k t + p_k), t in seconds; all (batch, 1, waves)."""

    amplitude: Floats
    omega: Floats
    phase: Floats

    @classmethod
    def drawn(cls, rng: Rng, batch: int, waves: int = 3) -> Sines:
        shape = (batch, 1, waves)
        omega = 2 * np.pi * rng.uniform(0.2, 1.5, shape)
        return cls(rng.uniform(0.3, 1.0, shape), omega, rng.uniform(0, 2 * np.pi, shape))

    def at(self, t: Floats) -> Floats:
        return (self.amplitude * np.sin(self.omega * SECONDS * t[..., None] + self.phase)).sum(-1)

    def slope(self, t: Floats) -> Floats:
        """Per second."""
        return (self.amplitude * self.omega * np.cos(self.omega * SECONDS * t[..., None] + self.phase)).sum(-1)

    def through(self, response: NDArray[np.complexfloating[Any]]) -> Sines:
        """What a linear system leaves of them, given its complex response at their frequencies."""
        return Sines(self.amplitude * np.abs(response), self.omega, self.phase + np.angle(response))


def _next(rng: Rng, batch: int, held_out: bool) -> Curves:
    s = Sines.drawn(rng, batch)
    return Curves(s.at, lambda t: s.at(t + 1))


def _oscillator(rng: Rng, batch: int, held_out: bool, hertz: float = 0.5, damping: float = 0.3) -> Curves:
    s, own = Sines.drawn(rng, batch), 2 * np.pi * hertz
    response = own**2 / (own**2 - s.omega**2 + 2j * damping * own * s.omega)
    return Curves(s.at, s.through(response).at)


def _energy(rng: Rng, batch: int, held_out: bool) -> Curves:
    s = Sines.drawn(rng, batch)
    return Curves(s.at, lambda t: s.at(t) ** 2 + (s.slope(t) / (2 * np.pi)) ** 2)


# --- Mackey-Glass


FINE = 0.1
"""The step of Euler's rule."""
DELAY, WARM_UP, ROOM = 17.0, 300.0, 700.0
"""In units of time; ROOM is where a curve may start."""


@cache
def series(held_out: bool, count: int = 32) -> Floats:
    """x' = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x from `count` starts, (count, T), every FINE units of time."""
    rng = np.random.default_rng(17 + held_out)
    delay, total = round(DELAY / FINE), round((WARM_UP + ROOM + (SPAN + 2) * UNITS) / FINE)
    x = np.empty((delay + total, count))
    x[: delay + 1] = 0.9 + 0.4 * rng.uniform(-1, 1, count)
    for i in range(delay, delay + total - 1):
        past = x[i - delay]
        x[i + 1] = x[i] + FINE * (0.2 * past / (1 + past**10) - 0.1 * x[i])
    return x[delay + round(WARM_UP / FINE) :].T


@cache
def standard_series(held_out: bool) -> Floats:
    """The same with mean 0 and variance 1."""
    raw = series(held_out)
    return (raw - raw.mean()) / raw.std()


def _mackey_glass(rng: Rng, batch: int, held_out: bool) -> Curves:
    known = standard_series(held_out)
    rows = known[rng.integers(0, len(known), batch)]
    start = rng.uniform(UNITS, ROOM, (batch, 1))

    def at(t: Floats) -> Floats:
        place = (start + t * UNITS) / FINE
        left = np.floor(place).astype(int)
        if left.max(initial=0) > rows.shape[1] - 2:
            raise SmrError(
                f"the task `mg` is known for {SPAN} steps, and it is asked at step {t.max():.0f}: "
                "take shorter sequences"
            )
        part = place - left
        return np.take_along_axis(rows, left, 1) * (1 - part) + np.take_along_axis(rows, left + 1, 1) * part

    return Curves(at, lambda t: at(t + 1))


TASKS: Mapping[str, Task] = {
    t.name: t
    for t in (
        Task("next", "the value of three sines one step later", _next),
        Task("osc", "an oscillator that the signal drives", _oscillator),
        Task("mg", "the value of a Mackey-Glass series one step later", _mackey_glass),
        Task("energy", "the energy of the signal, a quadratic functional", _energy),
    )
}


def task(name: str) -> Task:
    """The task of a name. Raises `SmrError`."""
    if name not in TASKS:
        hint = did_you_mean(name, TASKS) or f"; there are {', '.join(TASKS)}"
        raise SmrError(f"no signal task `{name}`{hint}")
    return TASKS[name]
