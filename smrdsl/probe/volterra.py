"""Volterra: the one thing that SMR brings for certain. A linear model has no correlation with the energy of a signal,
and a linear filter in front of it changes nothing of that; u (m * u) is the second-order term that is missing.

The host is ours, not the user's: one linear core between two linear maps, so that the gate is all that is not linear.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from smrdsl.core.source import Source
from smrdsl.data.grids import grid
from smrdsl.data.signals import task
from smrdsl.probe.fit import TEST, Recipe, draw, error, fit
from smrdsl.probe.lab import Meter
from smrdsl.probe.subject import CONTROL, HOST, SMR, named, plain
from smrdsl.spec.limits import Limits

SPEC = """model linear_host {
  signal(channels=1)
  linear(16)
  s4d(state=16, dt=0.02..0.4)
  linear(1)
}
"""


@dataclass(frozen=True, slots=True)
class Volterra:
    """Errors on the energy of a signal, by variant, one for each seed; 1 is what a constant reaches."""

    spec: str
    errors: dict[str, list[float]]

    def mean(self, variant: str) -> float:
        return statistics.fmean(self.errors[variant])


def volterra(seeds: int, recipe: Recipe, meter: Meter) -> Volterra:
    """Train the linear host, its SMR twin and its control on the energy."""
    import torch

    subject = named(Source("linear_host", SPEC), None, None, {}, None, Limits())
    energy = task("energy")
    errors: dict[str, list[float]] = {HOST: [], SMR: [], CONTROL: []}
    for seed in range(seeds):
        for variant, found in errors.items():
            model = plain(subject.variant(variant), seed)
            meter.start(f"the linear host, {variant}, seed {seed}")
            fit(model, energy, seed, recipe, 1, meter.advance)
            b = draw(energy, grid("clean"), (TEST, seed, 0), 96, recipe.length, 1, 1)
            with torch.no_grad():
                found.append(error(model(b.u), b.y, recipe.burn_in))
    return Volterra(SPEC, errors)
