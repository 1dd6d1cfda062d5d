"""Summary: what a user should know about the model that was probed, in one paragraph that its numbers choose."""

from __future__ import annotations

import math
from collections.abc import Iterator

from smrdsl.probe.result import Result
from smrdsl.probe.sampling import BLIND, RESCALED, TOLD, Sampling, cell, over_grids
from smrdsl.probe.sampling_sentences import changed, moved
from smrdsl.probe.stability import Stability
from smrdsl.probe.subject import CONTROL, HOST, SMR, STEPS
from smrdsl.probe.words import count, listed, percent, some

UNLEARNED = 0.9
"""Of a constant; a model with a larger error has not learned its task."""
HELPS = 0.95
"""A geometric mean above this is no help."""
WAYS = {
    (SMR, BLIND): "SMR",
    (CONTROL, BLIND): "a linear filter of its size",
    (HOST, RESCALED): "a step scaled by the mean gap",
    (HOST, TOLD): "cores that are told every gap",
}
TIMED_WAYS = {
    (SMR, TOLD): "SMR",
    (STEPS, TOLD): "SMR that sees the step",
    (CONTROL, TOLD): "a linear filter of its size",
}
"""Variant and clock -> what is held against the model without SMR, as it was trained."""


def summary(r: Result) -> str:
    """One paragraph; empty where the parts that were run tell nothing of the model at hand."""
    lines: list[str] = []
    if r.stability is not None:
        lines += _stability(next(s for s in r.stability if s.variant == r.about.as_given))
    if r.sampling is not None and r.sampling.grids:
        lines += _sampling(r, r.sampling)
    if lines and not r.about.trained_here and r.about.weights is None:
        lines.append("All this is of initial weights, since it could not be trained here: --weights gives others.")
    return " ".join(lines)


def _stability(s: Stability) -> Iterator[str]:
    steady = [c for c in s.cores if c.radius is not None]
    unstable = [c.key for c in steady if c.unstable]
    memories = [c.memory for c in steady if c.memory]
    if unstable:
        cores = f"{len(unstable)} of {count(len(s.cores), 'core')}"
        yield f"Unstable (ρ of 1 or more): {cores}, {some(unstable)}; there an error of the input does not die out."
    elif steady:
        fades = f", where an error fades to 1/e within {max(memories):,.0f} samples" if memories else ""
        yield f"Its cores are stable (ρ at most {max(c.radius or 0 for c in steady):.4g}){fades}."
    highest = [c.factors[2] for c in s.cores if c.factors]
    if highest:
        fades = "below 1: errors faded" if max(highest) < 1 else "1 and more: errors could grow"
        yield f"The A that its cores make of their input came to {max(highest):.4g} at most, {fades}."


def _sampling(r: Result, s: Sampling) -> Iterator[str]:
    given = r.about.as_given
    if not s.scored:
        found = moved(s, given)
        worst = max(found, key=lambda g: found[g], default="")
        if found:
            yield (
                f"On other sampling grids its outputs move by {percent(found.values())} of their size, most on "
                f"{worst}{changed(s, given)}."
            )
        return
    clean = cell(s, given, s.clock, "clean")
    cells = {g: c for g in s.perturbed if (c := cell(s, given, s.clock, g))}
    if clean is None or not cells:
        return
    if clean.mean > UNLEARNED:
        advice = "train longer (--steps)." if r.about.trained_here else "was it trained on another (--task)?"
        yield f"It does not do the task {r.about.task}: its error is {clean.mean:.2g}, that of a constant 1; {advice}"
        return
    worst = max(cells, key=lambda g: cells[g].to_clean)
    yield (
        f"On the uniform grid its error is {clean.mean:.3g}, on others up to {cells[worst].to_clean:.3g} times that "
        f"({worst})."
    )
    yield from _ways(r, s)


def _ways(r: Result, s: Sampling) -> Iterator[str]:
    """What helps on other grids, against the model without SMR, in the geometric mean over grids and seeds."""
    ways, base, other = TIMED_WAYS if s.clock == TOLD else WAYS, 1.0, "the model without SMR"
    if not r.about.trained_here:  # a twin has learned nothing: only the model itself, under other clocks
        given = r.about.as_given
        ways = {(given, clock): what for (variant, clock), what in ways.items() if variant == HOST}
        base, other = over_grids(s, given, s.clock) or math.nan, "the model as given"
    found = {what: ratio / base for (v, clock), what in ways.items() if (ratio := over_grids(s, v, clock)) is not None}
    if found:
        ranked = sorted(found, key=lambda what: found[what])
        verdict = (
            f"what helps most is {ranked[0]}"
            if found[ranked[0]] < HELPS
            else f"nothing that was tried helps by {1 - HELPS:.0%}"
        )
        each = listed(f"by {found[what]:.3g} with {what}" for what in ranked)
        yield f"There {verdict}. Over those grids the error of {other} is multiplied, in the geometric mean, {each}."
    if not r.about.trained_here:
        yield "What SMR or a filter would bring, weights alone do not tell: without --weights all of them are trained."
