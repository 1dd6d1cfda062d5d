"""Stability: how long every core remembers, how much of an error it may gather, and what every SMR may add to it.

No state runs away where the spectral radius is below 1; where it is not, every error of the input grows without end,
however small (Proposition B in docs/probe.md).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.probe.follow import Modelled
from smrdsl.probe.lab import ASKING, Lab
from smrdsl.probe.streams import Pair, pair_of
from smrdsl.probe.subject import gated
from smrdsl.probe.systems import System
from smrdsl.runtime.model import CompiledModel

SMALLEST = 1e-9
"""Errors below this are too near to rounding to tell by how much they grow."""


@dataclass(frozen=True, slots=True)
class CoreFigures:
    """Of one core. `kind`: bank, joint, selective, or unknown, where there is no state to follow.

    radius: the spectral radius of A, the largest over its systems. memory: samples until a state has decayed to 1/e.
    condition: of the eigenvectors. sigma: 5 %, 50 % and 95 % of (1 - |lambda_n|) / |b_n|. gain: b kappa / (1 - rho),
    the largest. factors: least, median and largest |A| over samples, of a selective core. forwards:
    whether it runs in both directions, and these are of the forward one.
    """

    key: str
    operator: str
    kind: str
    radius: float | None = None
    memory: float | None = None
    condition: float | None = None
    sigma: tuple[float, float, float] | None = None
    gain: float | None = None
    factors: tuple[float, float, float] | None = None
    forwards: bool = False

    @property
    def unstable(self) -> bool:
        return self.radius is not None and self.radius >= 1


@dataclass(frozen=True, slots=True)
class GateFigures:
    """Of one SMR: Gamma of its channels (largest, median) for inputs up to `zeta`, and the largest gain measured."""

    key: str
    zeta: float
    gamma: float
    median: float
    measured: float


@dataclass(frozen=True, slots=True)
class Stability:
    """The figures of a variant."""

    variant: str
    cores: list[CoreFigures]
    gates: list[GateFigures]


def stability(lab: Lab, variants: list[str]) -> list[Stability]:
    """The figures of the first seed of each variant."""
    found = []
    for variant in variants:
        trained = lab.trained(variant, 0)
        model = trained.blind
        lab.meter.start(f"measuring the cores of {variant}")
        cores = Modelled.of(model)
        pair = pair_of(lab, 0, 8)
        partings = {p.key: p for p in pair.parted(cores, lab.following(variant))}
        figures = [
            _core(key, model, cores, partings[key].factors if key in partings else None)
            for key in (*cores.cores, *cores.unknown)
        ]
        found.append(Stability(variant, figures, _gates(model, pair)))
        lab.meter.advance(ASKING)
    return found


def _core(key: str, model: CompiledModel, cores: Modelled, factors: tuple[float, float, float] | None) -> CoreFigures:
    operator, system = model.graph.node(key).op.name, cores.systems.get(key)
    if key in cores.unknown:
        return CoreFigures(key, operator, "unknown")
    figures = CoreFigures(key, operator, "selective", factors=factors) if system is None else _steady(key, system)
    return replace(figures, forwards=cores.cores[key].forwards)


def _steady(key: str, system: System) -> CoreFigures:
    radius, condition = float(system.radius.max()), float(system.condition.max())
    memory = -1 / float(torch.log(system.radius.max())) if 0 < radius < 1 else None
    sigma = gain = None
    if system.diagonal and radius < 1:
        low, middle, high = system.threshold.quantile(torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)).tolist()
        sigma = (low, middle, high)
        gain = float(system.gain.max())
    kind = "bank" if system.core.bank else "joint"
    return CoreFigures(key, system.core.operator, kind, radius, memory, condition, sigma, gain)


def _gates(model: CompiledModel, pair: Pair) -> list[GateFigures]:
    keys = gated(model.graph)
    clean, moved = pair.seen(model, keys)
    windows = {key: next(iter(model.graph.state(key).values())).shape[0] for key in keys}
    return [_gate(model, key, clean[key].streams[0], moved[key].streams[0], int(windows[key])) for key in keys]


@torch.no_grad()
def _gate(model: CompiledModel, key: str, clean: Tensor, moved: Tensor, past: int) -> GateFigures:
    """Gamma beside the largest gain that two inputs show, of a gate that remembers `past` of them."""
    layer = copy.deepcopy(model.get_submodule(key)).double()
    zeta = float(max(clean.abs().max(), moved.abs().max()))
    gamma = layer.error_gain(zeta)  # type: ignore[operator]
    error = (moved - clean).abs().amax(2)
    recent = F.max_pool1d(F.pad(error, (past, 0))[:, None], past + 1, 1)[:, 0]
    passed = (layer(moved) - layer(clean)).abs().amax(2)
    ratio = passed / recent.clamp_min(SMALLEST)
    return GateFigures(key, zeta, float(gamma.max()), float(gamma.median()), float(ratio.max()))
