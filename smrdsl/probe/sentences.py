"""Sentences: what the numbers say, in words that are chosen by the numbers; null results are told as plainly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from smrdsl.probe.handmade import Growth
from smrdsl.probe.insert import EXACT, Insert
from smrdsl.probe.nss import CoreDeviation, Nss
from smrdsl.probe.result import Result
from smrdsl.probe.sampling_sentences import sampling_sentences
from smrdsl.probe.stability import CoreFigures, Stability
from smrdsl.probe.subject import CONTROL, HOST, SMR, TITLES
from smrdsl.probe.volterra import Volterra
from smrdsl.probe.words import count, listed, opening, percent, some, span

SAME_SLOPE, NO_SLOPE = 1e-3, 5e-3
"""A slope within the first of ln ρ is its rate; one below the second is none."""
LINEAR_FAILS, GATE_HELPS = 0.95, 0.45
"""Errors of the linear host above and below which a sentence says so."""


def sentences(r: Result) -> dict[str, list[str]]:
    """Part -> what it says; the parts that were run."""
    told: dict[str, Iterable[str]] = {}
    if r.stability is not None:
        told["stability"] = _stability(r.stability, r.about.as_given)
    if r.nss is not None:
        told["nss"] = _nss(r.nss)
    if r.sampling is not None:
        a = r.about
        told["sampling"] = sampling_sentences(r.sampling, a.seeds, a.why_no_error, a.weights is not None)
    if r.volterra is not None:
        told["volterra"] = _volterra(r.volterra)
    if r.insert is not None:
        told["insert"] = _insert(r.insert)
    return {part: list(lines) for part, lines in told.items()}


# --- stability


def _stability(found: list[Stability], given: str) -> Iterator[str]:
    own = next(s for s in found if s.variant == given)
    yield from _spectra([c for c in own.cores if c.radius is not None])
    factors = {c.key: c.factors for c in own.cores if c.factors}
    if factors:
        low, high = min(low for low, _, _ in factors.values()), max(high for _, _, high in factors.values())
        follows = "states decay at each of them" if high < 1 else "some states grow"
        yield (
            f"A is made of the input in {some(factors)}: over the samples seen |A| is {low:.3g} to {high:.5g}, "
            f"{span(middle for _, middle, _ in factors.values())} in the middle, so that {follows}."
        )
    unknown = [c.key for c in own.cores if c.kind == "unknown"]
    if unknown:
        yield f"There is no one state of real numbers to look at in {some(unknown)}."
    both = [c.key for c in own.cores if c.forwards]
    if both:
        yield f"Of what runs in both directions the forward one is looked at: {some(both)}."
    for s in found:
        if s.gates:
            g = max(s.gates, key=lambda g: g.gamma)
            measured = max(x.measured for x in s.gates)
            yield (
                f"{opening(TITLES[s.variant])}, an error may grow by up to Γ = {g.gamma:.3g} in the gate ({g.key}, "
                f"inputs up to {g.zeta:.3g}); at most {measured:.3g} was measured."
            )


def _spectra(steady: list[CoreFigures]) -> Iterator[str]:
    """Of the time-invariant cores."""
    if not steady:
        return
    worst = max(steady, key=lambda c: c.radius or 0)
    radius = worst.radius or 0
    unstable = [c for c in steady if c.unstable]
    if unstable:
        yield (
            f"{len(unstable)} of {count(len(steady), 'core')} have a spectral radius of 1 or more, {worst.key} the "
            f"largest with {radius:.5g}: an error of the input does not die out there, and grows by ln ρ = "
            f"{math.log(radius):.2g} a sample."
        )
    else:
        memory = f"; an error is down to 1/e after {worst.memory:,.0f} samples" if worst.memory else ""
        yield f"The time-invariant cores are stable: the spectral radius is at most {radius:.5g} ({worst.key}){memory}."
    blurred = [c for c in steady if c.sigma is None and not c.unstable]
    if blurred:
        condition = max(c.condition or 0 for c in blurred)
        yield (
            f"The eigenvectors of {some(c.key for c in blurred)} have a condition of up to {condition:.1g}: modes, "
            "and what is told by mode, say nothing there. The bounds over time do not need them."
        )


# --- nss


def _nss(n: Nss) -> Iterator[str]:
    above = [g for g in n.growths if g.radius > 1]
    for pre, what in (("none", "With nothing in front"), ("smr", "Behind an SMR with random memories")):
        grown = [g for g in above if g.pre == pre]
        slopes = listed(f"{g.slope:+.4f} (ln ρ {math.log(g.radius):+.4f})" for g in grown)
        same = all(abs(g.slope - math.log(g.radius)) < SAME_SLOPE for g in grown)
        verdict = "the rate of the spectrum" if same else "not the rate of the spectrum"
        yield f"{what}, ln|e| of the system made by hand grows by {slopes} a sample: {verdict}."
    fir = [g.slope for g in above if g.pre == "fir"]
    verdict = "the divergence is gone" if max(fir) < NO_SLOPE else "the divergence is still there"
    slopes = listed(f"{slope:+.4f}" for slope in fir)
    yield f"Behind the linear filter with zeros at the poles it grows by {slopes}: {verdict}."
    yield _bounds(n.growths)
    yield from _own(n)


def _bounds(found: list[Growth]) -> str:
    broken = [g for g in found if not g.holds]
    if broken:
        return f"The bound was passed in {len(broken)} of {len(found)} cases, which Proposition A excludes."
    spare = span(g.slack for g in found if g.pre != "fir")
    return f"The bound held at all times in all {len(found)} cases; without the filter it ends at {spare} times |e|."


def _own(n: Nss) -> Iterator[str]:
    host = {d.key: d for d in n.cores if d.variant == HOST}
    twin = {d.key: d for d in n.cores if d.variant == SMR}
    if not host:
        yield f"The cores of the model ({some(n.unknown)}) have no state that could be followed."
        return
    yield from _parted([d for d in host.values() if math.isfinite(d.mean_relative)], n)
    lost = [f"{d.key} ({TITLES[d.variant]})" for d in n.cores if not math.isfinite(d.mean_relative)]
    if lost:
        yield f"Within {n.length} samples numbers overflow in {some(lost)}: there is no deviation to tell."
    reached = [d for d in n.cores if d.tightest is not None]
    if reached:
        verdict = "held at all times" if all(d.holds for d in reached) else "were passed"
        most = percent(d.tightest or 0 for d in reached)
        yield f"Their bounds {verdict}; behind the first quarter a deviation comes to {most} of its bound at most."
    both = [twin[k].mean_relative / d.mean_relative for k, d in host.items() if k in twin and d.mean_relative > 0]
    both = [ratio for ratio in both if math.isfinite(ratio)]
    if both:
        yield f"With SMR the relative deviation is {span(both)} times that without, core by core."


def _parted(host: list[CoreDeviation], n: Nss) -> Iterator[str]:
    """How far the states of the model without SMR part, and where that grows."""
    what = "uniform errors of a tenth of the core's input" if n.local else "jitter of 0.3"
    slopes = {d.key: d.slope for d in host if d.slope is not None}
    grows = ""
    if slopes:
        steepest = max(slopes, key=lambda key: slopes[key])
        grows = (
            f"; ln|e| changes by {slopes[steepest]:+.2g} a sample over the last half where it grows most ({steepest})"
        )
    if host:
        yield (
            f"In the model without SMR, over {n.length} samples with {what}, states part by "
            f"{percent(d.mean_relative for d in host)} of their size{grows}."
        )


# --- volterra, insert


def _volterra(v: Volterra) -> Iterator[str]:
    host, smr, control = (v.mean(name) for name in (HOST, SMR, CONTROL))
    yield (
        f"On the energy of a signal a linear model has an error of {host:.3g}, with a linear filter {control:.3g}, "
        f"with SMR {smr:.3g}; a constant has 1."
    )
    if min(host, control) > LINEAR_FAILS and smr < GATE_HELPS:
        yield "The gate brings the second-order term that no linear filter has."
    elif smr < LINEAR_FAILS < min(host, control):
        yield "The gate has learned a part of the second-order term that no linear filter has, so far."
    else:
        yield f"That is not the expected picture (linear above {LINEAR_FAILS}, SMR below {GATE_HELPS}): train longer."


def _insert(found: Insert) -> Iterator[str]:
    host = "the trained model" if found.trained else "the untrained model"
    starts = [i for i in found.insertions if i.gate in EXACT]
    exact = listed(i.gate for i in starts if i.exact)
    yield f"Put into {host}, SMR that starts as the identity changes no bit of any output with these gates: {exact}."
    for i in starts:
        if not i.exact:
            yield f"With the gate {i.gate} outputs move by {i.difference:.1g} of the largest."
    others = [i for i in found.insertions if i.gate not in EXACT]
    ratios = [f"{i.ratio:.3g} ({i.gate})" for i in others if i.ratio is not None]
    if ratios:
        yield f"A random start multiplies the error by {listed(ratios)}, before any training."
    else:
        moves = listed(f"{i.difference:.0%} ({i.gate})" for i in others)
        yield f"A random start moves outputs by up to {moves} of the largest."
