"""The tables of docs/study.md, made of what was measured.

    python -m docs.study.tables

writes each of them into the page, between its marks. What was not measured is not in them, or said to be not there yet.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from docs.study.files import RESULTS, read
from docs.study.sampling import HOSTS
from docs.study.tasks import BLOCKS, TASKS, VARIANTS
from smrdsl.probe.subject import HOST

PAGE = Path(__file__).parent.parent / "study.md"
SHOWN = ("clean", "jitter=0.3", "skip=0.1", "rate=0.5", "rate=1.5", "rate=2", "co2")
ROWS = {
    "smr, blind": "with SMR",
    "control, blind": "linear filter",
    "host, rescaled": "step rescaled",
    "host, told": "told the gaps",
    "smr, told": "told, with SMR",
}
EVEN = 1e-4
"""A ratio this near to 1 is no win."""
Errors = dict[str, dict[str, list[float]]]


def sampling(task: str, train: str) -> Iterator[str]:
    """Errors of the hosts, and below each the paired ratios of its rows."""
    yield row(["", *SHOWN])
    yield row(["---"] * (len(SHOWN) + 1))
    for host in HOSTS:
        found = read(f"{host}-{task}-{train}")
        if found:
            errors: Errors = found["errors"]
            own = errors["host, blind"]
            yield row([f"**{host}**", *(spread(own[g]) for g in SHOWN)])
            for name, title in ROWS.items():
                if name in errors and any(errors[name].values()):
                    yield row([title, *(paired(errors[name].get(g, []), own[g]) for g in SHOWN)])


def spread(values: list[float]) -> str:
    return f"{statistics.fmean(values):#.3g} ± {statistics.stdev(values):.1g}"


def paired(values: list[float], own: list[float]) -> str:
    """Geometric mean of the ratios, and in how many seeds they are below 1."""
    if not values:
        return ""
    ratios = paired_ratios(values, own)
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    return f"{mean:.2f} ({sum(r < 1 - EVEN for r in ratios)}/{len(ratios)})"


def wins() -> Iterator[str]:
    """Off the training grid, host by host: where a row of table 1 is better, and where worse, in every seed."""
    yield row(["", "grids", *(f"{title}: better, worse, ratio" for title in ROWS.values())])
    yield row(["---"] * (len(ROWS) + 2))
    total: dict[str, list[list[float]]] = {name: [] for name in ROWS}
    for host in HOSTS:
        errors: Errors = (read(f"{host}-next-clean") or {"errors": {}})["errors"]
        if errors:
            own = errors["host, blind"]
            off = [g for g in own if g != "clean"]
            cells = []
            for name in ROWS:
                ratios = [paired_ratios(e, own[g]) for g in off if (e := errors.get(name, {}).get(g))]
                total[name] += ratios
                cells.append(tally(ratios))
            yield row([host, len(off), *cells])
    yield row(["**all**", max(map(len, total.values())), *(f"**{tally(ratios)}**" for ratios in total.values())])


def tally(ratios: list[list[float]]) -> str:
    """On how many grids all seeds are better, on how many all are worse, and the mean ratio."""
    if not ratios:
        return ""
    better = sum(all(r < 1 - EVEN for r in seeds) for seeds in ratios)
    worse = sum(all(r > 1 + EVEN for r in seeds) for seeds in ratios)
    mean = math.exp(statistics.fmean(math.log(r) for seeds in ratios for r in seeds))
    return f"{better}, {worse}, {mean:.2f}"


def paired_ratios(values: list[float], own: list[float]) -> list[float]:
    """Seed by seed."""
    return [a / b for a, b in zip(values, own, strict=True)]


def states() -> Iterator[str]:
    """Deviation of the states and the event-trigger condition, by host and variant."""
    yield row(["", *(f"{what}, {v}" for what in ("deviation, %", "condition holds, %") for v in VARIANTS)])
    yield row(["---"] * 7)
    for host in HOSTS:
        found = read(f"{host}-next-clean")
        if found:
            by = {v: [s for s in found["states"] if s["variant"] == v] for v in VARIANTS}
            deviations = [f"{100 * statistics.fmean(s['deviation'] for s in by[v]):.2g}" for v in VARIANTS]
            held = [[s["held"] for s in by[v] if s["held"] is not None] for v in VARIANTS]
            yield row([host, *deviations, *(f"{100 * statistics.fmean(h):.1f}" if h else "" for h in held)])


def steps() -> Iterator[str]:
    """Everyone told the gaps: the plain gate, and over its errors those of the others."""
    yield row(["", *SHOWN])
    yield row(["---"] * (len(SHOWN) + 1))
    for host in HOSTS:
        found, others = read(f"steps-{host}"), read(f"{host}-next-clean")
        if found and others:
            own = found["errors"]["smr, told"]
            yield row([f"**{host}**, told, with SMR", *(spread(own[g]) for g in SHOWN)])
            rows = {
                "SMR sees the steps": found["errors"]["smr steps, told"],
                "without SMR": others["errors"]["host, told"],
                "linear filter": others["errors"]["control, told"],
            }
            for title, errors in rows.items():
                yield row([title, *(paired(errors[g], own[g]) for g in SHOWN)])


def trained_with_gaps() -> Iterator[str]:
    """S4D trained on varied grids and told their gaps; and over the errors of that, those of the others."""
    yield row(["", *SHOWN])
    yield row(["---"] * (len(SHOWN) + 1))
    told, blind = read("s4d_timed-next-mix"), read("s4d-next-mix")
    if told and blind:
        own = told["errors"]["host, told"]
        yield row(["**s4d**, told the gaps", *(spread(own[g]) for g in SHOWN)])
        rows = {
            "with SMR": told["errors"]["smr, told"],
            "SMR sees the steps": told["errors"]["smr steps, told"],
            "linear filter": told["errors"]["control, told"],
            "same grids, not told": blind["errors"]["host, blind"],
        }
        for title, errors in rows.items():
            yield row([title, *(paired(errors[g], own[g]) for g in SHOWN)])


def growth() -> Iterator[str]:
    """The system made by hand."""
    yield row(["in front", "rho", "ln rho", "slope of ln\\|e\\|", "\\|e\\| after 600 samples", "bound held"])
    yield row(["---"] * 6)
    for g in read("nss") or []:
        slope = f"{g['slope']:+.4f} ± {g['spread']:.4f}"
        held = "yes" if g["holds"] else "no"
        yield row([g["pre"], g["radius"], f"{math.log(g['radius']):+.4f}", slope, f"{g['end']:.3g}", held])


def cores() -> Iterator[str]:
    """The hosts' own cores over four times the training length."""
    yield row(["core", "", "\\|e\\| / \\|x\\|, %", "slope of ln\\|e\\|", "share of its bound, %"])
    yield row(["---"] * 5)
    for host in HOSTS:
        for c in read(f"cores-{host}") or []:
            share = "" if c["tightest"] is None else f"{100 * c['tightest']:.0f}"
            name = f"{host}, {c['key'].split('.')[1]}"
            yield row([name, c["variant"], f"{100 * c['mean_relative']:.2g}", f"{c['slope']:+.5f}", share])


def toy() -> Iterator[str]:
    """One signal, one layer: medians and ranges over the seeds."""
    found: dict[str, Any] = read("toy") or {}
    names = list(next(iter(found.values()))["errors"][0]) if found else []
    yield row(["", *names, "rho", "deviation of the state, %"])
    yield row(["---"] * (len(names) + 3))
    for variant, v in found.items():
        errors = [ranged([e[name] for e in v["errors"]]) for name in names]
        yield row([variant, *errors, ranged(v["radius"], 4), ranged([100 * d for d in v["deviation"]])])


def ranged(values: list[float], digits: int = 2) -> str:
    return f"{statistics.median(values):.{digits}g} [{min(values):.{digits}g}, {max(values):.{digits}g}]"


def volterra() -> Iterator[str]:
    yield row(["linear host", "error on the energy, mean ± deviation", "smallest", "largest"])
    yield row(["---"] * 4)
    for variant, errors in (read("volterra") or {"errors": {}})["errors"].items():
        yield row([variant, spread(errors), f"{min(errors):.3g}", f"{max(errors):.3g}"])


def insert() -> Iterator[str]:
    yield row(["gate", "equal bit for bit", "largest difference / largest output", "error after / before"])
    yield row(["---"] * 4)
    for i in (read("insert") or {"insertions": []})["insertions"]:
        yield row([i["gate"], "yes" if i["exact"] else "no", f"{i['difference']:.2g}", f"{i['ratio']:.3g}"])


def tasks() -> Iterator[str]:
    """What was trained on tasks; a line for each host and data set that is there, of the seeds that all twins have."""
    yield row(["data, figure", "host", "alone", "with SMR (wins)", "linear filter (wins)"])
    yield row(["---"] * 5)
    for data in TASKS:
        for host in BLOCKS:
            found: dict[str, Any] = read(f"tasks-{data}-{host}") or {}
            seeds = [s for s in range(len(found)) if all(f"{v}, {s}" in found for v in VARIANTS)]
            if len(seeds) > 1:
                figure = found[f"{HOST}, 0"]["metric"]
                own, *twins = ([found[f"{v}, {s}"]["test"][figure] for s in seeds] for v in VARIANTS)
                others = [f"{spread(r)} ({better(r, own, figure)}/{len(r)})" for r in twins]
                yield row([f"{data}, {figure.replace('_', ' ')}", host, spread(own), *others])


def cost() -> Iterator[str]:
    """What the twins' updates take beside those of the host."""
    yield row(["host", "an update, ms", "with SMR, %", "linear filter, %"])
    yield row(["---"] * 4)
    for host, c in (read("cost") or {}).items():
        yield row([host, f"{c['milliseconds']:.0f}", f"{c['smr']:+.1f}", f"{c['control']:+.1f}"])


def better(values: list[float], own: list[float], figure: str) -> int:
    """In how many seeds a figure is better than that of the host alone."""
    sign = 1 if figure == "accuracy" else -1
    return sum(sign * (a - b) > 0 for a, b in zip(values, own, strict=True))


def row(cells: list[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "wins": wins,
    "sampling": lambda: sampling("next", "clean"),
    "sampling-mg": lambda: sampling("mg", "clean"),
    "sampling-mix": lambda: sampling("next", "mix"),
    "states": states,
    "growth": growth,
    "cores": cores,
    "toy": toy,
    "volterra": volterra,
    "insert": insert,
    "tasks": tasks,
    "steps": steps,
    "trained-with-gaps": trained_with_gaps,
    "cost": cost,
}


def filled(text: str) -> str:
    """The page with every table between its marks."""
    for name, table in TABLES.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.S)
        found = list(table())
        lines = "".join(f"{line}\n" for line in found) if len(found) > 2 else "Not measured yet.\n"
        text = marks.sub(lambda m, lines=lines: f"{m[1]}{lines}{m[2]}", text)
    return text


def main() -> None:
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{PAGE} from {len(list(RESULTS.glob('*.json')))} files")


if __name__ == "__main__":
    main()
