"""Handmade: a system whose spectral radius is chosen, under jitter, and what can be put in front of it.

    x_{t+1} = A x_t + B u_t        A: a rotation scaled by rho, and two modes of 0.9 and 0.7; e_t = x'_t - x_t

The signal is a sum of three sines on the training grid and on one with jitter 0.3. A is normal, so that
||A^k|| = max(rho, 0.9)^k and the bound b sum_k ||A^k|| |eps_{t-k}| is exact in A. In front stands nothing, an SMR with
random memories, or the linear filter whose zeros are the rotation's poles, which is what a memory must be to take a
divergence away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smrdsl.compiler import layer
from smrdsl.data.grids import Floats, grid
from smrdsl.data.signals import sample, task

RADII = (0.95, 0.99, 1.0, 1.01, 1.02)
PRE = ("none", "smr", "fir")
ANGLE = 0.35
OTHERS = (0.9, 0.7)
B = np.array([0.1, 0.05, 0.1, 0.1])
SHOWN = 100
"""Points of a curve that are kept."""


@dataclass(frozen=True, slots=True)
class Growth:
    """A radius and what stands in front, over some seeds: mean and standard deviation of the slope of ln |e_t| over
    the last half, the medians of |e_T|, of bound over |e_T| and of |e_T| / |x_T|, and the curves of the first seed."""

    radius: float
    pre: str
    slope: float
    spread: float
    end: float
    slack: float
    relative: float
    holds: bool
    times: list[int]
    deviation: list[float]
    bound: list[float]


def handmade(seeds: int = 20, length: int = 600) -> list[Growth]:
    """Every radius with everything in front."""
    signals = [sample(task("next"), grid(g), (2, 600), seeds, length)[0] for g in ("clean", "jitter=0.3")]
    return [_grow(radius, pre, *signals) for pre in PRE for radius in RADII]


def _grow(radius: float, pre: str, clean: Floats, moved: Floats) -> Growth:
    u, v = (_filtered(pre, radius, s) for s in (clean, moved))
    a = _matrix(radius)
    x, y = _states(a, u), _states(a, v)
    e = np.linalg.norm(y - x, axis=2)
    bound = _bound(radius, np.abs(v - u))
    t = np.arange(1, e.shape[1] + 1)
    half = len(t) // 2
    slopes = np.array([np.polyfit(t[half:], np.log(row[half:]), 1)[0] for row in e])
    kept = np.unique(np.linspace(0, len(t) - 1, SHOWN).astype(int))
    return Growth(
        radius, pre, float(slopes.mean()), float(slopes.std()), float(np.median(e[:, -1])),
        float(np.median(bound[:, -1] / e[:, -1])), float(np.median(e[:, -1] / np.linalg.norm(x[:, -1], axis=1))),
        bool((e <= bound * (1 + 1e-9) + 1e-12).all()),
        t[kept].tolist(), e[0, kept].tolist(), bound[0, kept].tolist(),
    )  # fmt: skip


def _matrix(radius: float) -> Floats:
    a = np.diag([0.0, 0.0, *OTHERS])
    cos, sin = radius * np.cos(ANGLE), radius * np.sin(ANGLE)
    a[:2, :2] = [[cos, -sin], [sin, cos]]
    return a


def _states(a: Floats, u: Floats) -> Floats:
    """x_1 ... x_T for inputs (seeds, T), (seeds, T, 4)."""
    x, kept = np.zeros((len(u), 4)), []
    for now in u.T:
        x = x @ a.T + np.outer(now, B)
        kept.append(x)
    return np.stack(kept, 1)


def _bound(radius: float, error: Floats) -> Floats:
    """b sum_k ||A^k|| |eps_{t-k}|, (seeds, T)."""
    gathered, kept = np.zeros(len(error)), []
    for now in error.T:
        gathered = max(radius, *OTHERS) * gathered + now
        kept.append(np.linalg.norm(B) * gathered)
    return np.stack(kept, 1)


def _filtered(pre: str, radius: float, u: Floats) -> Floats:
    """What stands in front, on inputs (seeds, T)."""
    if pre == "none":
        return u
    if pre == "fir":
        padded = np.pad(u, ((0, 0), (2, 0)))
        return padded[:, 2:] - 2 * radius * np.cos(ANGLE) * padded[:, 1:-1] + radius**2 * padded[:, :-2]
    import torch

    smr = layer("smr(memory=4, init=random)", width=1, seed=7, dtype="float64", mode="infer")
    with torch.no_grad():
        return smr(torch.from_numpy(u)[..., None])[..., 0].numpy()
