"""Run: the parts of a probe, one after the other, over models that are trained once for all of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from smrdsl import __version__
from smrdsl.core.errors import SmrError, did_you_mean
from smrdsl.data.grids import STUDY, grid
from smrdsl.data.signals import SPAN
from smrdsl.data.signals import task as task_of
from smrdsl.probe.fit import Recipe
from smrdsl.probe.insert import EXACT, RANDOM, insert
from smrdsl.probe.lab import ASKING, Lab, Meter, Tell
from smrdsl.probe.nss import LONGER, nss
from smrdsl.probe.result import About, Result
from smrdsl.probe.sampling import sampling
from smrdsl.probe.stability import stability
from smrdsl.probe.subject import HOST, SMR, STEPS, Subject, fit_of, subject_of, trained_weights
from smrdsl.probe.volterra import volterra
from smrdsl.runtime.model import CompiledModel

PARTS = ("stability", "nss", "sampling", "volterra", "insert")
SEEDS, QUICK_SEEDS = 5, 2
QUICK = {"steps": 100, "batch": 16, "length": 96}


def probe(
    path_or_model: str | os.PathLike[str] | CompiledModel,
    part: str | None = None,
    *,
    model: str | None = None,
    set: Mapping[str, Any] | None = None,
    weights: str | os.PathLike[str] | None = None,
    task: str | None = None,
    seeds: int | None = None,
    quick: bool = False,
    recipe: Recipe | None = None,
    tell: Tell | None = None,
) -> Result:
    """Probe a model of a `.smr` file, or a compiled one with its weights, in one part or all; the result is plain data.

    part: stability, nss, sampling, volterra or insert. weights: a file, package or checkpoint, which is probed as it
    is; else the model and its twins are trained here, from so many seeds, on a signal task (next, osc, mg, energy) by
    the recipe. task: with weights, what they were trained on, where errors should be told. quick: two seeds and a short
    recipe. tell: a function of what is being done and the share of work that is done. Raises `SpecError`, `SmrError`.
    """
    return probe_subject(
        subject_of(path_or_model, model, set, weights),
        part,
        task=task,
        seeds=seeds,
        quick=quick,
        recipe=recipe,
        tell=tell,
    )


def probe_subject(
    subject: Subject,
    part: str | None = None,
    *,
    task: str | None = None,
    seeds: int | None = None,
    quick: bool = False,
    recipe: Recipe | None = None,
    tell: Tell | None = None,
) -> Result:
    """The same for a subject."""
    if part is not None and part not in PARTS:
        raise SmrError(f"no part `{part}`{did_you_mean(part, PARTS)}; there are {', '.join(PARTS)}")
    wanted = PARTS if part is None else (part,)
    lab = lab_of(subject, task, seeds, quick, recipe or recipe_of(quick), tell or (lambda doing, share: None))
    variants = subject.variants
    blind = [v for v in variants if v != STEPS]
    grids = QUICK_GRIDS if quick else STUDY
    lab.meter.total = _effort(lab, wanted, variants, len(grids))
    return Result(
        _about(lab, variants),
        stability(lab, blind) if "stability" in wanted else None,
        nss(lab, [HOST, SMR], 5 if quick else 20) if "nss" in wanted else None,
        sampling(lab, variants, grids) if "sampling" in wanted else None,
        volterra(lab.seeds, _linear_recipe(lab.recipe, quick), lab.meter) if "volterra" in wanted else None,
        insert(lab) if "insert" in wanted else None,
    )


MANY, FEW = 96, 24
"""Sequences that an error is taken over, and how far an output moves."""
QUICK_GRIDS = ("clean", "jitter=0.3", "skip=0.1", "rate=0.5", "rate=2", "co2")


def recipe_of(quick: bool = False, **given: Any) -> Recipe:
    """The recipe, the quick one or the usual, with what is given and not None."""
    return Recipe(**{**(QUICK if quick else {}), **{k: v for k, v in given.items() if v is not None}})


def _linear_recipe(recipe: Recipe, quick: bool) -> Recipe:
    """That of the linear host, whose learning rate is not the user's model's: in few steps it has to be higher."""
    return replace(recipe, grid="clean", rate=0.03 if quick else 0.01)


def lab_of(subject: Subject, task: str | None, seeds: int | None, quick: bool, recipe: Recipe, tell: Tell) -> Lab:
    fit = fit_of(subject.given.graph)
    ahead = bool(subject.given.graph.look_ahead())
    chosen = task_of(task or ("osc" if ahead else "next"))  # who sees the next sample need not predict it
    if task is not None and not fit.fits:
        raise SmrError(f"the task `{task}` does not fit the model `{subject.name}`: {fit.why_not}")
    grid(recipe.grid)  # which says what is no grid
    if chosen.name == "mg" and LONGER * recipe.length > SPAN:
        raise SmrError(
            f"the task `mg` is known for {SPAN} steps, and states are followed over {LONGER} lengths: --length is at "
            f"most {SPAN // LONGER}"
        )
    if seeds is not None and seeds < 1:
        raise SmrError(f"{seeds} seeds: at least one model is needed")
    given = subject.weights is not None
    count = seeds or (QUICK_SEEDS if quick else SEEDS)
    trains = fit.fits and not given
    scores = fit.fits and (not given or task is not None)
    tested = FEW if quick or not scores else MANY
    weights = trained_weights(subject) if given else {}
    return Lab(subject, fit, chosen, recipe, count, trains, scores, Meter(tell), tested, weights)


def _effort(lab: Lab, wanted: tuple[str, ...], variants: list[str], grids: int) -> int:
    """The work of these parts in training steps, for the progress that is told."""
    seeds, one = lab.runs, lab.recipe.steps if lab.trains else 0
    blind = [v for v in variants if v != STEPS]
    trained = {(v, 0) for v in blind if "stability" in wanted or ("nss" in wanted and v in (HOST, SMR))}
    if "sampling" in wanted and not lab.fit.tokens:
        trained |= {(v, s) for v in variants for s in range(seeds)}
    if "insert" in wanted:
        trained |= {(HOST, s) for s in range(seeds)}
    asked = {
        "stability": len(blind),
        "nss": 2 * LONGER,
        "sampling": seeds * len(variants) * grids * (not lab.fit.tokens),
        "insert": seeds * len(EXACT | RANDOM),
    }
    steps = one * len(trained) + 3 * lab.seeds * lab.recipe.steps * ("volterra" in wanted)
    return steps + ASKING * sum(asked.get(part, 0) for part in wanted)


def _told(subject: Subject) -> str | None:
    """Where weights came from, in words."""
    if isinstance(subject.weights, Mapping):
        return "the model in hand"
    return None if subject.weights is None else str(subject.weights)


def _about(lab: Lab, variants: list[str]) -> About:
    subject, g = lab.subject, lab.subject.given.graph
    why = lab.fit.why_not
    if not why and not lab.scores:
        why = "its weights were given, and what they were trained on is not known; --task names it"
    return About(
        model=subject.name,
        file=subject.source.path,
        task=lab.task.name,
        as_given=subject.as_given,
        variants=tuple(variants),
        edits={v: subject.edit(v) for v in variants},
        seeds=lab.runs,
        recipe=asdict(lab.recipe),
        weights=_told(subject),
        trained_here=lab.trains,
        why_no_error=why,
        timed=g.timed,
        looks_ahead=bool(g.look_ahead()),
        version=__version__,
    )
