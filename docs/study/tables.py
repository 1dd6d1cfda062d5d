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
    return f"{statistics.fmean(values):.3g} ± {statistics.stdev(values):.1g}"


def paired(values: list[float], own: list[float]) -> str:
    """Geometric mean of the ratios, and in how many seeds they are below 1."""
    if not values:
        return ""
    ratios = [a / b for a, b in zip(values, own, strict=True)]
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    return f"{mean:.2f} ({sum(r < 1 - EVEN for r in ratios)}/{len(ratios)})"


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
    """What was trained on tasks; a line for each host and data set that is there."""
    yield row(["data, host", "figure", *VARIANTS])
    yield row(["---"] * (2 + len(VARIANTS)))
    for data in TASKS:
        for host in BLOCKS:
            found = read(f"tasks-{data}-{host}")
            if found:
                figure = next(iter(found.values()))["metric"]
                runs = [[m["test"][figure] for key, m in found.items() if key.startswith(f"{v},")] for v in VARIANTS]
                yield row([f"{data}, {host}", figure, *(spread(r) if len(r) > 1 else "" for r in runs)])


def row(cells: list[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


TABLES: dict[str, Callable[[], Iterator[str]]] = {
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
