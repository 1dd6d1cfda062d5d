"""NSS: how the deviation of a state grows over time; by hand, where the spectrum is chosen, and in the model itself.

The model is asked on sequences four times as long as it was trained on, so that what gathers slowly is seen too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from smrdsl.probe.follow import Modelled, Parting
from smrdsl.probe.handmade import SHOWN, Growth, handmade
from smrdsl.probe.lab import ASKING, Lab
from smrdsl.probe.streams import pair_of

LONGER = 4
"""Times the training length."""
SEQUENCES = 8


@dataclass(frozen=True, slots=True)
class CoreDeviation:
    """One core of one variant: means over the sequences at some times, and figures over all of them.

    deviation, bound: absolute; relative: over the root mean square of the state. slope: of ln of the deviation over
    the last half, per sample; None where nothing parts, or numbers overflow. tightest: the largest share of the bound
    that was reached behind the first quarter (the first sample reaches all of it); holds: whether the bound was never
    passed; None where there is no bound, or numbers overflow.
    closed: b kappa sup|eps| / (1 - rho).
    """

    variant: str
    key: str
    operator: str
    times: list[int]
    deviation: list[float]
    relative: list[float]
    bound: list[float]
    slope: float | None
    mean_relative: float
    tightest: float | None
    holds: bool | None
    closed: float | None


@dataclass(frozen=True, slots=True)
class Nss:
    """The part. `local`: the inputs of the cores were moved themselves, behind an embedding."""

    growths: list[Growth]
    cores: list[CoreDeviation]
    length: int
    local: bool
    unknown: list[str]


def nss(lab: Lab, variants: list[str], seeds: int = 20) -> Nss:
    lab.meter.start("the system made by hand")
    growths = handmade(seeds)
    length = LONGER * lab.recipe.length
    pair = pair_of(lab, 0, SEQUENCES, length)
    found, unknown = [], []
    for variant in variants:
        model = lab.trained(variant, 0).blind
        cores = Modelled.of(model)
        unknown = cores.unknown
        found += [deviation_of(variant, p) for p in pair.parted(cores, lab.following(variant))]
        lab.meter.advance(ASKING * LONGER)
    return Nss(growths, found, length, pair.local, unknown)


def deviation_of(variant: str, p: Parting) -> CoreDeviation:
    """What is kept of a parting."""
    length = len(p.deviation)
    kept = np.unique(np.linspace(0, length - 1, SHOWN).astype(int))
    mean, half = p.deviation.mean(1), length // 2
    tightest = holds = None
    if p.bound.numel() and bool((p.deviation + p.bound).isfinite().all()):
        share = (p.deviation / p.bound.clamp_min(1e-300)).where(p.bound > 1e-12 * p.bound.max(), 0)
        tightest, holds = float(share[length // 4 :].max()), bool(share.max() <= 1 + 1e-6)
    return CoreDeviation(
        variant, p.key, p.operator, (kept + 1).tolist(),
        _at(mean, kept), _at(p.relative.mean(1), kept), _at(p.bound.mean(1), kept) if p.bound.numel() else [],
        slope(mean[half:]), float(p.relative[length // 4 :].mean()),
        tightest, holds, p.closed,
    )  # fmt: skip


def _at(values: Tensor, kept: np.ndarray) -> list[float]:
    return values.numpy()[kept].tolist()


def slope(deviation: Tensor) -> float | None:
    """Of its logarithm, per sample; None where it has none."""
    values = deviation.numpy()
    if not ((values > 0) & np.isfinite(values)).all():
        return None
    return float(np.polyfit(np.arange(len(values)), np.log(values), 1)[0])
