"""Table 7 of the study: the hosts with nothing, with SMR and with the linear filter in front, on tasks.

    python -m docs.study.tasks DATA [HOST ...] [--seeds 5]          DATA: listops, digits or text

trains by `smrdsl.train` and writes results/tasks-DATA-HOST.json, the test figures of every variant and seed; a run
that was stopped goes on. A host on digits takes minutes on one core, on listops and text hours. Irregular sampling is
table 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import smrdsl
from docs.study.files import read, write
from docs.study.sampling import one_of
from smrdsl.probe.subject import CONTROL, EDITS, HOST, SMR

IMPORTS = "".join(f'import "std/{name}.smr"\n' for name in ("mamba", "mega", "s5_block", "spade"))
BLOCKS = {
    "s4": "residual { norm(layer)  s4(state=16, dt=0.01..0.5)  gelu  glu }",
    "s5": "residual { norm(layer)  s5_block(state=16, dt=0.01..0.5) }",
    "s6": "residual { norm(rms)  mamba(state=8, dt=0.01..0.5) }",
    "spade": "spade(state=16, heads=2, window=16, dt=0.01..0.5)\n    residual { norm(layer)  linear(2 * hidden)  gelu  "
    "linear(hidden) }",
    "mega": "mega(state=8, qk=16, chunk=32)  mega_ffn(2 * hidden)",
}
"""The five hosts of the paper, small."""
VARIANTS = (HOST, SMR, CONTROL)


@dataclass(frozen=True)
class Task:
    """A data set, what stands before and behind the blocks of a host, and how it is trained."""

    data: str
    start: str
    end: str
    hidden: int
    options: dict[str, Any]
    settings: dict[str, Any]


TASKS = {
    "listops": Task(
        "listops",
        "tokens(vocab=16, length=64)\n  embed(hidden)",
        "norm(layer)  pool(mean)  linear(10)",
        48,
        {"train": 20000, "held_out": 1000, "max_args": 5},
        {"max_steps": 800, "evaluate_every": 200},
    ),
    "digits": Task(
        "digits",
        "signal(channels=1, length=64)\n  linear(hidden)",
        "norm(layer)  pool(mean)  linear(10)",
        24,
        {},
        {"epochs": 20, "batch": 50, "lr": 0.008},
    ),
    "text": Task(
        "text",
        "tokens(vocab=256, length=256)\n  embed(hidden)",
        "norm(layer)  linear(256)",
        64,
        {},
        {"max_steps": 600, "batch": 16, "lr": 0.004, "evaluate_every": 200},
    ),
}


def spec(task: Task, block: str) -> str:
    """The host and its twins."""
    host = (
        f"model host(hidden = {task.hidden}) {{\n  {task.start}\n  repeat 2 {{\n    {block}\n  }}\n  {task.end}\n}}\n"
    )
    twins = (f"model {name} extends host {{ {EDITS[name]} }}\n" for name in VARIANTS if name != HOST)
    return f"{IMPORTS}\n{host}\n{''.join(twins)}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("data", choices=TASKS)
    options.add_argument("hosts", nargs="*", type=one_of(BLOCKS), default=[*BLOCKS])
    options.add_argument("--seeds", type=int, default=5)
    o = options.parse_args()
    for host in o.hosts:
        name = f"tasks-{o.data}-{host}"
        found: dict[str, Any] = read(name) or {}  # what was measured stays, so that a run can go on
        for seed in range(o.seeds):
            for variant in VARIANTS:
                key = f"{variant}, {seed}"
                if key not in found:
                    print(f"{host} on {o.data}: {key}", file=sys.stderr)
                    found[key] = trained(TASKS[o.data], BLOCKS[host], variant, seed)
                    write(name, found)


def trained(task: Task, block: str, variant: str, seed: int) -> dict[str, Any]:
    """The figures of one training."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "host.smr"
        file.write_text(spec(task, block), encoding="utf-8")
        done = smrdsl.train(
            file, task.data, name=variant, options=task.options, out=Path(folder) / "out", seed=seed, **task.settings
        )
        return dict(done.metrics)


if __name__ == "__main__":
    main()
