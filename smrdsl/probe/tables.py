"""Tables: the numbers of the report, as heads and rows of text."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from smrdsl.probe.insert import Insert
from smrdsl.probe.nss import Nss
from smrdsl.probe.result import Result
from smrdsl.probe.sampling import Sampling, aside, cell, rows
from smrdsl.probe.stability import Stability
from smrdsl.probe.subject import HOST, TITLES
from smrdsl.probe.volterra import Volterra

NONE = "-"


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, the heads of the columns, and rows of as many cells; the first of each names it."""

    caption: str
    heads: list[str]
    rows: list[list[str]]


def tables(r: Result) -> dict[str, list[Table]]:
    """Part -> its tables."""
    found: dict[str, list[Table]] = {}
    if r.stability is not None:
        found["stability"] = [*_stability(r.stability)]
    if r.nss is not None:
        found["nss"] = [*_nss(r.nss)]
    if r.sampling is not None:
        found["sampling"] = [*_sampling(r.sampling)]
    if r.volterra is not None:
        found["volterra"] = [_volterra(r.volterra)]
    if r.insert is not None:
        found["insert"] = [_insert(r.insert)]
    return {part: [t for t in ts if t.rows] for part, ts in found.items()}


def _stability(found: list[Stability]) -> Iterator[Table]:
    heads = ["core", "variant", "system", "ρ", "memory, samples", "κ", "σ 5 %", "σ 50 %", "σ 95 %", "gain", "|A| seen"]
    cores = []
    for s in found:
        for c in s.cores:
            sigma = [_g(x) for x in c.sigma] if c.sigma else [NONE] * 3
            seen = " / ".join(_g(x) for x in c.factors) if c.factors else NONE
            figures = [_g(c.radius, 5), _g(c.memory), _g(c.condition, 2), *sigma, _g(c.gain), seen]
            cores.append([c.key, s.variant, f"{c.operator}, {c.kind}{', forwards' if c.forwards else ''}", *figures])
    caption = (
        "Cores. A time-invariant one has a spectrum; a selective one makes A of its input: least, median and largest."
    )
    yield Table(caption, heads, cores)
    gates = [[g.key, _g(g.zeta), _g(g.gamma), _g(g.median), _g(g.measured)] for s in found for g in s.gates]
    heads = ["gate", "inputs up to ζ", "Γ, largest channel", "Γ, median channel", "measured"]
    yield Table("How much larger an error may be behind an SMR than before it.", heads, gates)


def _nss(n: Nss) -> Iterator[Table]:
    heads = ["in front", "ρ", "ln ρ", "slope of ln|e|", "|e| at the end", "|e| / |x|", "bound / |e|", "bound held"]
    rows = [
        [g.pre, _g(g.radius), f"{math.log(g.radius):+.4f}", f"{g.slope:+.4f} ± {g.spread:.4f}", _g(g.end),
         _g(g.relative),
         _g(g.slack), "yes" if g.holds else "no"]
        for g in n.growths
    ]  # fmt: skip
    yield Table("The system made by hand, over 600 samples; slopes over the last half.", heads, rows)
    heads = [
        "core",
        "variant",
        "|e| / |x|",
        "slope of ln|e|",
        "share of its bound",
        "b κ sup|ε| / (1 - ρ)",
    ]
    own = [
        [d.key, d.variant, f"{d.mean_relative:.2%}", f"{d.slope:+.5f}",
         NONE if d.tightest is None else f"{d.tightest:.1%}", _g(d.closed)]
        for d in n.cores
    ]  # fmt: skip
    yield Table(f"The model's own cores, over {n.length} samples.", heads, own)


def _sampling(s: Sampling) -> Iterator[Table]:
    if s.scored:
        yield Table("Error over the standard deviation of the target, mean ± deviation over the seeds.",
                    ["", *s.grids], [_errors(s, *row) for row in rows(s)])  # fmt: skip
        others = [row for row in rows(s) if row != (HOST, s.clock)]
        yield Table("Over the error without SMR, same seed: geometric mean, and in how many seeds below 1.",
                    ["", *s.grids], [_paired(s, *row) for row in others])  # fmt: skip
    else:
        yield Table("How far outputs move, over their size; in brackets how many decisions change.",
                    ["", *s.grids], [_moves(s, *row) for row in rows(s)])  # fmt: skip
    found: dict[tuple[str, str], list[tuple[float, float | None]]] = {}
    for x in s.states:
        found.setdefault((x.key, x.variant), []).append((x.mean, x.held))
    cores = [[key, variant, _spread([m for m, _ in v], 100), _spread([h for _, h in v if h is not None], 100)]
             for (key, variant), v in found.items()]  # fmt: skip
    yield Table("States under jitter 0.3, behind the first quarter.",
                ["core", "variant", "|x' - x| / rms |x|, %", "event-trigger condition holds, %"], cores)  # fmt: skip


def _errors(s: Sampling, variant: str, clock: str) -> list[str]:
    cells = [cell(s, variant, clock, g) for g in s.grids]
    return [variant + aside(s, variant, clock), *(f"{c.mean:.3g} ± {c.spread:.1g}" if c else NONE for c in cells)]


def _paired(s: Sampling, variant: str, clock: str) -> list[str]:
    cells = [cell(s, variant, clock, g) for g in s.grids]
    return [variant + aside(s, variant, clock), *(f"{c.paired:.3g} ({c.wins}/{c.count})" if c else NONE for c in cells)]


def _moves(s: Sampling, variant: str, clock: str) -> list[str]:
    shown = []
    for g in s.grids:
        own = [x for x in s.scores if (x.variant, x.clock, x.grid) == (variant, clock, g)]
        moved, changed = ([v for x in own if (v := getattr(x, what)) is not None] for what in ("moved", "changed"))
        told = f" ({statistics.fmean(changed):.0%})" if changed else ""
        shown.append(f"{statistics.fmean(moved):.2%}{told}" if moved else NONE)
    return [variant + aside(s, variant, clock), *shown]


def _volterra(v: Volterra) -> Table:
    seeds = max(len(e) for e in v.errors.values())
    rows = [[TITLES[name], *(_g(e) for e in errors)] for name, errors in v.errors.items()]
    return Table("The linear host on the energy of a signal: error of every seed.", ["", *map(str, range(seeds))], rows)


def _insert(found: Insert) -> Table:
    rows = [[i.gate, "yes" if i.exact else "no", f"{i.difference:.2g}", _g(i.ratio)] for i in found.insertions]
    heads = ["gate", "equal bit for bit", "largest difference / largest output", "error after / before"]
    return Table(f"SMR put into the host, {found.seeds} seed{'s' * (found.seeds > 1)}.", heads, rows)


def _g(value: float | None, digits: int = 3) -> str:
    return NONE if value is None else f"{value:.{digits}g}"


def _spread(values: list[float], scale: float) -> str:
    if not values:
        return NONE
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / max(1, len(values) - 1))
    return f"{scale * mean:.3g} ± {scale * deviation:.1g}"
