"""What the part `sampling` says, in words that are chosen by its numbers."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from smrdsl.probe.sampling import BLIND, RESCALED, TOLD, Sampling, cell
from smrdsl.probe.subject import CONTROL, HOST, SMR, STEPS, TITLES
from smrdsl.probe.words import count, listed, opening, percent, span

POINTS = 0.02
"""A share that rises by less than this does not rise."""
GIVEN = (
    "All variants have the weights of one model: ratios tell what a part does in it, not what training with it brings."
)
CLOCKS = {
    BLIND: "Not telling the cores the gaps",
    RESCALED: "Scaling the step by the mean gap",
    TOLD: "Telling the cores every gap",
}


def sampling_sentences(s: Sampling, seeds: int, why: str, given: bool = False) -> Iterator[str]:
    """seeds: how many there are; why: there are no errors; given: whether the weights were, those of one model."""
    yield from s.notes
    if not s.grids:
        return
    if s.scored:
        yield from _broken(s)
        yield from _compared(s, SMR, "SMR")
        yield GIVEN if given else _chance(s, seeds)
        yield from _compared(s, CONTROL, "The linear filter")
        yield from _against_filter(s)
        yield from _clocks(s)
    else:
        yield f"There are no errors on a task: {why}. Told is how far outputs move, on signals of the tasks."
        yield from _moved(s)
    yield from _held(s)


def moved(s: Sampling, variant: str) -> dict[str, float]:
    """Perturbed grid -> how far the outputs of a variant move there, in the mean over the seeds."""
    found: dict[str, list[float]] = {}
    for x in s.scores:
        if (x.variant, x.clock) == (variant, s.clock) and x.grid in s.perturbed and x.moved is not None:
            found.setdefault(x.grid, []).append(x.moved)
    return {g: statistics.fmean(values) for g, values in found.items()}


def changed(s: Sampling, variant: str) -> str:
    """The largest share of decisions that change on a grid, in words; nothing, where there are none to take."""
    shares = [x.changed for x in s.scores if (x.variant, x.clock) == (variant, s.clock) and x.changed is not None]
    return f"; up to {max(shares):.0%} of its decisions change" if shares else ""


def _moved(s: Sampling) -> Iterator[str]:
    for variant in dict.fromkeys(x.variant for x in s.scores if x.clock == s.clock):
        found = moved(s, variant)
        if found:
            where = f"in {TITLES[variant]}" if variant == HOST else TITLES[variant]
            worst = max(found, key=lambda g: found[g])
            yield (
                f"{opening(where)}, outputs move by {percent(found.values())} of their size, most on "
                f"{worst}{changed(s, variant)}."
            )


def _broken(s: Sampling) -> Iterator[str]:
    clean = cell(s, HOST, s.clock, "clean")
    cells = {g: c for g in s.perturbed if (c := cell(s, HOST, s.clock, g))}
    if clean is None or not cells:
        return
    worst, mildest = (choose(cells, key=lambda g: cells[g].to_clean) for choose in (max, min))
    yield (
        f"The model without SMR has an error of {clean.mean:.3g} on the uniform grid, on others "
        f"{cells[mildest].to_clean:.3g} ({mildest}) to {cells[worst].to_clean:.3g} times that ({worst})."
    )


def _compared(s: Sampling, variant: str, what: str) -> Iterator[str]:
    clean = cell(s, variant, s.clock, "clean")
    cells = {g: c for g in s.perturbed if (c := cell(s, variant, s.clock, g))}
    if clean is None or not cells:
        return
    better = [g for g, c in cells.items() if c.wins == c.count]
    worse = [g for g, c in cells.items() if c.losses == c.count]
    yield (
        f"{what} multiplies the error by {clean.paired:.3g} on the uniform grid ({clean.wins} of "
        f"{count(clean.count, 'seed')} better), and by {span(c.paired for c in cells.values())} on the {len(cells)} "
        f"others: better in every seed on {listed(better)}, worse in every seed on {listed(worse)}."
    )


def _chance(s: Sampling, seeds: int) -> str:
    chance, grids = 0.5**seeds, len(s.perturbed)
    return (
        f"With {count(seeds, 'seed')}, chance alone is better in every one with probability {chance:.2g}: on {grids} "
        f"grids {grids * chance:.2g} times."
    )


def _against_filter(s: Sampling) -> Iterator[str]:
    grids = [g for g in s.grids if cell(s, SMR, s.clock, g) and cell(s, CONTROL, s.clock, g)]
    lower = [g for g in grids if _mean(s, SMR, g) < _mean(s, CONTROL, g)]
    where = f"{len(lower)} of {len(grids)} grids: {listed(lower)}"
    yield f"In the mean, SMR has a lower error than the linear filter on {where}."


def _mean(s: Sampling, variant: str, name: str) -> float:
    found = cell(s, variant, s.clock, name)
    assert found is not None
    return found.mean


def _clocks(s: Sampling) -> Iterator[str]:
    for clock, what in CLOCKS.items():
        cells = {g: c for g in s.perturbed if (c := cell(s, HOST, clock, g))}
        if cells and clock != s.clock:
            best = min(cells, key=lambda g: cells[g].paired)
            helped = [g for g, c in cells.items() if c.wins == c.count]
            yield (
                f"{what}, without training anew, multiplies the error by {span(c.paired for c in cells.values())}: "
                f"least on {best}; it is better in every seed on {len(helped)} of {len(cells)} grids."
            )
    told, steps = cell(s, SMR, TOLD, "jitter=0.3"), cell(s, STEPS, TOLD, "jitter=0.3")
    if told and steps:
        weights = "trained so" if s.clock == TOLD else "with the weights of one that does not"
        errors = f"has an error of {steps.mean:.3g}; the other has {told.mean:.3g}"
        yield f"On jitter=0.3 a gate that sees the step, {weights}, {errors}."


def _held(s: Sampling) -> Iterator[str]:
    shares = {
        variant: statistics.fmean(held)
        for variant in (HOST, SMR, CONTROL)
        if (held := [x.held for x in s.states if x.variant == variant and x.held is not None])
    }
    if HOST in shares and SMR in shares:
        each = listed(f"{share:.1%} ({TITLES[variant]})" for variant, share in shares.items())
        more = shares[SMR] - shares[HOST]
        verdict = "SMR does not raise it" if more < POINTS else f"SMR raises it by {100 * more:.0f} points"
        yield f"Under jitter 0.3 the event-trigger condition holds for {each} of modes and samples: {verdict}."
