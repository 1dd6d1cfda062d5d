"""Table 1 of the study: the hosts on other sampling grids, beside SMR, the linear filter and the clock.

    python -m docs.study.sampling [HOST ...] [--task next] [--seeds 5] [--train clean]

writes docs/study/results/HOST-TASK-TRAIN.json: the error of every seed, and what is told of cores and states. The table
itself is printed by `python -m docs.study.tables`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from docs.study.files import write
from smrdsl.probe.fit import Recipe
from smrdsl.probe.run import probe
from smrdsl.probe.sampling import Sampling, rows

HERE = Path(__file__).parent
HOSTS = ("s4d", "s4", "s5", "s6", "spade", "mega")
TIMED = "s4d_timed"
RECIPE = {"steps": 300, "batch": 24, "length": 128, "rate": 0.01}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("hosts", nargs="*", type=one_of((*HOSTS, TIMED)), default=HOSTS)
    options.add_argument("--task", default="next")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--train", default="clean")
    o = options.parse_args()
    for host in o.hosts:
        recipe = Recipe(**RECIPE, grid=o.train)
        found = probe(
            HERE / "hosts.smr", "sampling", model=f"{host}_host", task=o.task, seeds=o.seeds, recipe=recipe, tell=tell
        )
        assert found.sampling is not None
        write(f"{host}-{o.task}-{o.train}", {"recipe": found.about.recipe, **compact(found.sampling)})


def one_of(known: Collection[str]) -> Callable[[str], str]:
    """The type of an argument that names one of these."""

    def name(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(known)}")
        return text

    return name


def compact(s: Sampling) -> dict[str, Any]:
    """Row -> grid -> errors by seed, and the cores' figures by seed."""
    errors = {
        f"{variant}, {clock}": {
            g: [x.error for x in s.scores if (x.variant, x.clock, x.grid) == (variant, clock, g)] for g in s.grids
        }
        for variant, clock in rows(s)
    }
    states = [
        {"variant": x.variant, "seed": x.seed, "core": x.key, "deviation": x.mean, "held": x.held} for x in s.states
    ]
    return {"errors": errors, "states": states}


def tell(doing: str, share: float) -> None:
    if sys.stderr.isatty():
        print(f"{share:4.0%} {doing:<40}", file=sys.stderr, end="\r")


if __name__ == "__main__":
    main()
