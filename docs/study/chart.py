"""The chart of the study: what SMR, the linear filter and the clock do to the error, host by host and grid by grid.

    python -m docs.study.chart

reads what `python -m docs.study.sampling` left and writes ratios.svg. A mark is the geometric mean over the seeds of
the error over that of the host with the same seed, its line goes from the least to the greatest of them.
"""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

from docs.study.files import read
from docs.study.sampling import HOSTS
from docs.study.tables import ROWS, SHOWN, paired_ratios
from smrdsl.probe.plots import drawn, plain_numbers

FILE = Path(__file__).parent / "ratios.svg"
MARKS = {
    "smr, blind": ("o", "#b03a00"),
    "control, blind": ("s", "#0a62a0"),
    "host, rescaled": ("^", "#968600"),
    "host, told": ("v", "#00775a"),
}
COLUMNS = 3


def panel(axes: Any, errors: dict[str, dict[str, list[float]]]) -> None:
    """One host: a group of marks for every grid."""
    own = errors["host, blind"]
    for i, (name, (mark, colour)) in enumerate(MARKS.items()):
        for place, grid in enumerate(SHOWN):
            if values := errors.get(name, {}).get(grid):
                ratios = paired_ratios(values, own[grid])
                x = place + (i - 1.5) * 0.17
                mean = math.exp(statistics.fmean(map(math.log, ratios)))
                axes.plot([x, x], [min(ratios), max(ratios)], color=colour, lw=1, alpha=0.6)
                axes.plot(x, mean, mark, color=colour, ms=4, label=ROWS[name] if place == len(SHOWN) - 1 else None)
    axes.axhline(1, color="#828c9a", lw=0.8)
    axes.set_xticks(range(len(SHOWN)), SHOWN, rotation=30, ha="right")


def paint(figure: Any) -> None:
    found = {host: read(f"{host}-next-clean") for host in HOSTS}
    shape = (math.ceil(len(HOSTS) / COLUMNS), COLUMNS)
    panels = figure.subplots(*shape, sharex=True, sharey=True)
    for axes, host in zip(panels.flat, HOSTS, strict=True):
        panel(axes, found[host]["errors"])
        axes.set(title=host, yscale="log")
        plain_numbers(axes.yaxis)
    figure.supylabel("error over that of the host, same seed", fontsize=9)
    handles, names = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(MARKS))


def main() -> None:
    FILE.write_text(drawn(paint, 10.5, 5.4), encoding="utf-8")
    print(FILE)


if __name__ == "__main__":
    main()
