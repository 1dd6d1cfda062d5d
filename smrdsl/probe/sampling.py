"""Sampling: what grids that a model was not trained on do to it, and what SMR, a linear filter or the clock change.

A row is a variant under a clock: `blind` knows nothing of the gaps, `rescaled` has its step scaled by the mean gap of
the grid, `told` gets every gap. The weights are those of training in all three; a timed model was trained `told`, any
other `blind`. Errors are compared within a seed: the same training draws, the same test sequences, and the initial
values that the variants share.
"""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from smrdsl.core.errors import SmrError
from smrdsl.data.grids import STUDY, grid
from smrdsl.probe.fit import Batch, error
from smrdsl.probe.follow import Modelled
from smrdsl.probe.lab import ASKING, Lab, Trained
from smrdsl.probe.streams import JITTER, pair_of
from smrdsl.probe.subject import HOST, STEPS, TITLES
from smrdsl.probe.words import some

BLIND, RESCALED, TOLD = "blind", "rescaled", "told"
CLOCKS = {BLIND: ", not told the gaps", RESCALED: ", step rescaled", TOLD: ", told the gaps"}
FOLLOWED = 16
"""Sequences whose states are followed."""
LEVEL = 1 - 1e-4
"""A ratio of errors below this is a win; above it, it may be rounding."""


@dataclass(frozen=True, slots=True)
class Score:
    """One model on one grid: error, or how far its output moved, over the root mean square of the output; None where
    they are not finite.

    changed: the share of sequences, or samples, whose largest output is another one.
    """

    variant: str
    clock: str
    seed: int
    grid: str
    error: float | None
    moved: float | None
    changed: float | None


@dataclass(frozen=True, slots=True)
class States:
    """One core of one variant and seed under jitter: mean relative deviation at every time and behind the start of a
    sequence, and the share of modes and samples where the event-trigger condition holds."""

    variant: str
    seed: int
    key: str
    relative: list[float]
    mean: float
    held: float | None


@dataclass(frozen=True, slots=True)
class Sampling:
    """The part. `scored`: whether there are errors; notes: what could not be asked, and why; clock: under which the
    model was trained, and all errors are compared with the host's under it."""

    grids: list[str]
    scores: list[Score]
    states: list[States]
    scored: bool
    notes: list[str]
    clock: str = BLIND

    @property
    def perturbed(self) -> list[str]:
        return [g for g in self.grids if g != "clean"]


def sampling(lab: Lab, variants: list[str], grids: tuple[str, ...] = STUDY) -> Sampling:
    notes: list[str] = []
    if lab.fit.tokens:
        return Sampling([], [], [], False, [f"Grids are not defined for it: {lab.fit.why_not}."])
    scores, states = [], []
    for seed in range(lab.runs):
        for variant in variants:
            trained = lab.trained(variant, seed)
            scores += _scores(lab, variant, seed, trained, grids)
            states += _states(lab, variant, seed, trained)
    if all(s.clock == BLIND for s in scores):
        notes.append(f"It cannot be told the gaps: {lab.why_untimed or 'no core uses the step'}.")
    lost = dict.fromkeys(f"{TITLES[s.variant]} on {s.grid}" for s in scores if s.moved is None)
    if lost:
        notes.append(f"There are outputs that are not finite: {some(lost)}.")
    clock = TOLD if lab.subject.given.graph.timed else BLIND
    return Sampling(list(grids), scores, states, lab.scores, notes, clock)


@torch.no_grad()
def _scores(lab: Lab, variant: str, seed: int, trained: Trained, grids: tuple[str, ...]) -> list[Score]:
    found: list[Score] = []
    rows = lab.tested * (2 if lab.fit.paired else 1)
    clean: dict[tuple[str, str], Tensor] = {}
    for name in grids:
        lab.meter.start(f"asking {variant}, seed {seed}, on {name}")
        batch = lab.batch(name, seed, rows)
        for kind, clock, y in _outputs(lab, variant, trained, name, batch):
            before = clean.setdefault((kind, _as_trained(clock)), y)
            scale = before.square().mean().sqrt().clamp_min(1e-30)
            shift = _finite(float((y - before).square().mean().sqrt() / scale))
            missed = _finite(error(y, batch.y, lab.recipe.burn_in)) if lab.scores else None
            found.append(Score(kind, clock, seed, name, missed, shift, _changed(y, before)))
        lab.meter.advance(ASKING)
    return found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _as_trained(clock: str) -> str:
    """The clock under which a model reads its own grid: there is nothing to rescale."""
    return BLIND if clock == RESCALED else clock


def _changed(y: Tensor, before: Tensor) -> float | None:
    if y.shape[-1] < 2:
        return None
    return float((y.argmax(-1) != before.argmax(-1)).double().mean())


def _outputs(lab: Lab, variant: str, trained: Trained, name: str, batch: Batch) -> Iterator[tuple[str, str, Tensor]]:
    """What a model says under every clock that it can read and that makes a difference, with the variant that it is."""
    u, gaps = batch.u, batch.gaps
    if lab.fit.paired:
        u, gaps = u.unflatten(0, (-1, 2)), gaps.unflatten(0, (-1, 2))
    if variant != STEPS:
        yield variant, BLIND, trained.blind(u)
        mean = grid(name).mean
        if mean != 1:
            with contextlib.suppress(SmrError):  # no core has a step
                yield variant, RESCALED, trained.blind(u, rate=mean)
    for kind, model in ((variant, trained.timed), (STEPS, trained.stepped)):
        if model is not None:
            yield kind, TOLD, model(u, gaps)


def _states(lab: Lab, variant: str, seed: int, trained: Trained) -> list[States]:
    if variant == STEPS:
        return []
    found = []
    for p in pair_of(lab, seed, FOLLOWED, where=JITTER).parted(Modelled.of(trained.blind), lab.following(variant)):
        relative = p.relative.mean(1)
        held = float(p.held[lab.recipe.burn_in :].mean()) if p.held.numel() else None
        mean = float(relative[lab.recipe.burn_in :].mean())
        found.append(States(variant, seed, p.key, relative.tolist(), mean, held))
    return found


# --- what is told of the scores


@dataclass(frozen=True, slots=True)
class Cell:
    """Errors of a row on a grid over the seeds: mean and standard deviation, mean ratio to its own clean error, and,
    against the host of the same seed as it was trained, the geometric mean of the ratio and how often it was below and
    above 1."""

    mean: float
    spread: float
    to_clean: float
    paired: float
    wins: int
    losses: int
    count: int


def cell(s: Sampling, variant: str, clock: str, name: str) -> Cell | None:
    """None where the row has no error on the grid."""
    own = {x.seed: x.error for x in s.scores if (x.variant, x.clock, x.grid) == (variant, clock, name)}
    values = {seed: e for seed, e in own.items() if e is not None}
    if not values:
        return None
    clean = _errors(s, variant, _as_trained(clock), "clean")
    host = _errors(s, HOST, s.clock, name)
    ratios = [values[seed] / host[seed] for seed in values if host.get(seed)]
    return Cell(
        statistics.fmean(values.values()),
        statistics.stdev(values.values()) if len(values) > 1 else 0.0,
        statistics.fmean(values[seed] / clean[seed] for seed in values if clean.get(seed)) if clean else math.nan,
        math.exp(statistics.fmean(math.log(r) for r in ratios)) if ratios else math.nan,
        sum(r < LEVEL for r in ratios),
        sum(r > 1 / LEVEL for r in ratios),
        len(ratios),
    )


def _errors(s: Sampling, variant: str, clock: str, name: str) -> dict[int, float]:
    return {
        x.seed: x.error
        for x in s.scores
        if x.error is not None and (x.variant, x.clock, x.grid) == (variant, clock, name)
    }


def over_grids(s: Sampling, variant: str, clock: str) -> float | None:
    """The geometric mean of the paired ratio over the perturbed grids; where there is nothing to rescale, without.

    None where there is no such row, or no error on a grid.
    """
    if (variant, clock) not in rows(s):
        return None
    cells = [cell(s, variant, clock, g) or cell(s, variant, _as_trained(clock), g) for g in s.perturbed]
    found = [c.paired for c in cells if c and c.paired > 0]
    return math.exp(statistics.fmean(map(math.log, found))) if len(found) == len(cells) > 0 else None


def aside(s: Sampling, variant: str, clock: str) -> str:
    """What is said of a clock behind the name of a variant: nothing, where it was trained under it."""
    return "" if clock == s.clock or variant == STEPS else CLOCKS[clock]


def rows(s: Sampling) -> list[tuple[str, str]]:
    """The variants under the clocks that there are, in the order of the study."""
    return list(dict.fromkeys((x.variant, x.clock) for x in s.scores))
