"""What the part `sampling` says, in words that are chosen by its numbers."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from smrdsl.probe.sampling import BLIND, RESCALED, TOLD, Sampling, cell
from smrdsl.probe.subject import CONTROL, HOST, SMR, STEPS, TITLES
from smrdsl.probe.words import count, listed, opening, percent, span

POINTS = 0.02
"""A share that rises by less than this does not rise."""


def sampling_sentences(s: Sampling, seeds: int, why: str) -> Iterator[str]:
    yield from s.notes
    if not s.grids:
        return
    if s.scored:
        yield from _broken(s)
        yield from _compared(s, SMR, "SMR")
        yield from _chance(s, seeds)
        yield from _compared(s, CONTROL, "The linear filter")
        yield from _against_filter(s)
        yield from _clocks(s)
    else:
        yield f"There are no errors on a task: {why}. Told is how far outputs move, on signals of the tasks."
        yield from _moved(s)
    yield from _held(s)


def _perturbed(s: Sampling) -> list[str]:
    return [g for g in s.grids if g != "clean"]


def _moved(s: Sampling) -> Iterator[str]:
    for variant in dict.fromkeys(x.variant for x in s.scores if x.clock == BLIND):
        moved = {
            g: statistics.fmean(x.moved for x in s.scores if (x.variant, x.clock, x.grid) == (variant, BLIND, g))
            for g in _perturbed(s)
        }
        worst = max(moved, key=lambda g: moved[g])
        yield f"{opening(TITLES[variant])}, outputs move by {percent(moved.values())} of their size; most on {worst}."


def _broken(s: Sampling) -> Iterator[str]:
    cells = {g: c for g in s.grids if (c := cell(s, HOST, BLIND, g))}
    worst = max(_perturbed(s), key=lambda g: cells[g].to_clean)
    mildest = min(_perturbed(s), key=lambda g: cells[g].to_clean)
    yield (
        f"The model without SMR has an error of {cells['clean'].mean:.3g} on its own grid, on others "
        f"{cells[mildest].to_clean:.3g} ({mildest}) to {cells[worst].to_clean:.3g} times that ({worst})."
    )


def _compared(s: Sampling, variant: str, what: str) -> Iterator[str]:
    clean = cell(s, variant, BLIND, "clean")
    cells = {g: c for g in _perturbed(s) if (c := cell(s, variant, BLIND, g))}
    if clean is None or not cells:
        return
    better = [g for g, c in cells.items() if c.wins == c.count]
    worse = [g for g, c in cells.items() if c.losses == c.count]
    yield (
        f"{what} multiplies the error by {clean.paired:.3g} on the uniform grid ({clean.wins} of "
        f"{count(clean.count, 'seed')} better), and by {span(c.paired for c in cells.values())} on the {len(cells)} "
        f"others: better in every seed on {listed(better)}, worse in every seed on {listed(worse)}."
    )


def _chance(s: Sampling, seeds: int) -> Iterator[str]:
    chance, grids = 0.5**seeds, len(_perturbed(s))
    yield (
        f"With {count(seeds, 'seed')}, chance alone is better in every one with probability {chance:.2g}: on {grids} "
        f"grids {grids * chance:.2g} times."
    )


def _against_filter(s: Sampling) -> Iterator[str]:
    grids = [g for g in s.grids if cell(s, SMR, BLIND, g) and cell(s, CONTROL, BLIND, g)]
    lower = [g for g in grids if _mean(s, SMR, g) < _mean(s, CONTROL, g)]
    where = f"{len(lower)} of {len(grids)} grids: {listed(lower)}"
    yield f"In the mean, SMR has a lower error than the linear filter on {where}."


def _mean(s: Sampling, variant: str, name: str) -> float:
    found = cell(s, variant, BLIND, name)
    assert found is not None
    return found.mean


def _clocks(s: Sampling) -> Iterator[str]:
    for clock, what in ((RESCALED, "Scaling the step by the mean gap"), (TOLD, "Telling the cores every gap")):
        cells = {g: c for g in _perturbed(s) if (c := cell(s, HOST, clock, g))}
        if cells:
            best = min(cells, key=lambda g: cells[g].paired)
            helped = [g for g, c in cells.items() if c.wins == c.count]
            yield (
                f"{what}, without training anew, multiplies the error by {span(c.paired for c in cells.values())}; it "
                f"helps most on {best}, and in every seed on {len(helped)} of {len(cells)} grids."
            )
    told, steps = cell(s, SMR, TOLD, "jitter=0.3"), cell(s, STEPS, TOLD, "jitter=0.3")
    if told and steps:
        both = f"{steps.mean:.3g}, one that does not {told.mean:.3g}"
        yield f"On jitter=0.3 a gate that sees the step has an error of {both}."


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
