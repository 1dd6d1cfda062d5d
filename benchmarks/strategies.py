"""Times every strategy of every core at several lengths: `python -m benchmarks.strategies [OPERATOR[:STRATEGY] ...]`.

One thread, float32, width 256, batch 4, default arguments; medians of process time. The plan chooses by these numbers
where a machine was not calibrated: what this prints is what an operator declares as its `timings`. A strategy that ran
a native kernel is called `STRATEGY+native`; run it with SMRDSL_NATIVE=off too, for those of torch alone. Behind the
times stand the powers of batch, width and work by which they grow, where these are not 1.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import torch

from smrdsl.ops.contract import Operator, Timing
from smrdsl.runtime.calibrate import cores, measure

LENGTHS = (1, 16, 128, 1024, 4096)
SECONDS = 0.2
"""For each operator and length, at least; three runs of everything take longer."""


def tables(op: Operator, strategies: tuple[str, ...] | None) -> dict[str, tuple[Timing, ...]]:
    """The timings of an operator by strategy."""
    found: dict[str, tuple[Timing, ...]] = {}
    for _, timings in measure(op, LENGTHS, SECONDS, strategies):
        for name, timing in timings.items():
            found[name] = (*found.get(name, ()), timing)
    return found


def written(table: Mapping[str, tuple[Timing, ...]]) -> str:
    """A table as it stands in an operator's `timings.py`."""
    lines = ["{"]
    for name, timings in table.items():
        lines += [f'    "{name}": (', *(f"        {_call(t)}," for t in timings), "    ),"]
    return "\n".join([*lines, "}"])


def _call(t: Timing) -> str:
    powers = (t.batch, t.width, t.work)
    figures = [f"{t.length}", f"{t.forward:.3g}", f"{t.training:.3g}"]
    return f"Timing({', '.join(figures + [str(p) for p in powers] * any(p != (1.0, 1.0) for p in powers))})"


def main() -> None:
    torch.set_num_threads(1)
    wanted = dict(word.partition(":")[::2] for word in sys.argv[1:]) or dict.fromkeys((op.name for op in cores()), "")
    for op in cores():
        if op.name in wanted:
            strategies = (wanted[op.name],) if wanted[op.name] else None
            print(f"{op.name} = {written(tables(op, strategies))}", flush=True)


if __name__ == "__main__":
    main()
