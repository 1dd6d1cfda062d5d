"""Times every strategy of every core at several lengths: `python -m benchmarks.strategies [OPERATOR ...]`.

One thread, float32, width 256, batch 4, default arguments; medians of process time. The plan chooses by these
numbers: what this prints is what an operator declares as its `timings`. A strategy that ran a native kernel is printed
as `STRATEGY+native`; with SMRDSL_NATIVE=off all run on torch alone.
"""

from __future__ import annotations

import sys

import torch

from smrdsl.core.types import StreamType
from smrdsl.lowering.layers import draw_for
from smrdsl.ops.contract import Operator, Streams
from smrdsl.ops.registry import operators
from smrdsl.plan.measured import BATCH, NATIVE, WIDTH
from smrdsl.runtime.calibrate import runs_natively
from smrdsl.runtime.timing import medians, stream, work_of

LENGTHS = (1, 4, 16, 64, 256, 1024, 4096, 16384)
LONGEST_LOOP = 1024
"""Beyond it a loop in Python is far behind; its time is proportional to the length."""
WIDTHS = {"ssd_scan": (WIDTH, 128, 128, WIDTH // 64)}
"""Of the streams of operators that read several."""
SECONDS = 3.0
"""For each operator and length, at least."""


def prepared(op: Operator) -> tuple[torch.nn.Module, Streams]:
    """A layer with the default arguments, and its streams."""
    params, inputs = op.params(), tuple(map(StreamType.real, WIDTHS.get(op.name, (WIDTH,))))
    layer = op.load_layer()(params, inputs, op.infer(params, inputs))
    layer.reset_parameters(draw_for(0, op.name))
    return layer, inputs


def tables(op: Operator) -> dict[str, list[str]]:
    """Strategy -> its lines."""
    layer, inputs = prepared(op)
    names = {s: s + NATIVE if runs_natively(layer, s, inputs) else s for s in op.strategies}
    lines: dict[str, list[str]] = {name: [] for name in names.values()}
    for length in LENGTHS:
        streams = [stream(i, BATCH, length) for i in inputs]
        able = {s: name for s, name in names.items() if not (length > LONGEST_LOOP and name == "recurrent")}
        works = {(s, t): work_of(layer, s, streams, t) for s in able for t in (False, True)}
        found = medians(works, SECONDS)
        for s, name in able.items():
            lines[name].append(f"        Timing({length}, {found[s, False]:.3g}, {found[s, True]:.3g}),")
    return lines


def main() -> None:
    torch.set_num_threads(1)
    for name, op in operators().items():
        if not op.strategies or (sys.argv[1:] and name not in sys.argv[1:]):
            continue
        print(f"{name}: Timing(length, forward, training) in milliseconds")
        for strategy, lines in tables(op).items():
            print(f'    "{strategy}": (', *lines, "    ),", sep="\n", flush=True)


if __name__ == "__main__":
    main()
