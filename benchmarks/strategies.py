"""Times every strategy of every core at several lengths: `python -m benchmarks.strategies [OPERATOR ...]`.

One thread, float32, width 256, batch 4, default arguments; medians of process time. The plan chooses by these
numbers: what this prints is what an operator declares as its `timings`. A strategy that ran a native kernel is printed
as `STRATEGY+native`; with SMRDSL_NATIVE=off all run on torch alone.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from smrdsl.core.types import StreamType
from smrdsl.lowering.layers import draw_for
from smrdsl.ops.contract import Operator
from smrdsl.ops.registry import operators
from smrdsl.plan.measured import BATCH, NATIVE, WIDTH

LENGTHS = (1, 4, 16, 64, 256, 1024, 4096, 16384)
LONGEST_LOOP = 1024
"""Beyond it a loop in Python is far behind; its time is proportional to the length."""
WIDTHS = {"ssd_scan": (WIDTH, 128, 128, WIDTH // 64)}
"""Of the streams of operators that read several."""


class Native(TorchDispatchMode):
    """Looks on, and knows whether a native kernel ran."""

    ran = False

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.ran |= function.namespace == "smrdsl"
        return function(*args, **(kwargs or {}))


def prepared(op: Operator, strategy: str, length: int) -> tuple[torch.nn.Module, list[torch.Tensor]]:
    """A layer, and streams for it."""
    params, inputs = op.params(), tuple(map(StreamType.real, WIDTHS.get(op.name, (WIDTH,))))
    layer = op.load_layer()(params, inputs, op.infer(params, inputs))
    layer.reset_parameters(draw_for(0, op.name))
    layer.strategy = strategy
    streams = [torch.randn(BATCH, length, i.width) for i in inputs]
    return layer, streams


def runs_natively(op: Operator, strategy: str) -> bool:
    layer, streams = prepared(op, strategy, 2)
    with Native() as seen:
        layer(*streams)
    return seen.ran


def works(op: Operator, strategy: str, length: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """Forward alone, and forward and backward."""
    layer, streams = prepared(op, strategy, length)

    def forward() -> None:
        with torch.no_grad():
            layer(*streams)

    def training() -> None:
        layer.zero_grad()
        layer(*streams).square().mean().backward()

    return forward, training


def milliseconds(all_works: list[Callable[[], object]], runs: int) -> list[float]:
    """Medians; everything runs once in every round, so that a noisy moment hits all alike."""
    times: list[list[float]] = [[] for _ in all_works]
    for number in range(runs + 1):
        for work, own in zip(all_works, times, strict=True):
            start = time.process_time()
            work()
            if number:  # the first round warms up
                own.append(1000 * (time.process_time() - start))
    return [statistics.median(own) for own in times]


def tables(op: Operator) -> dict[str, list[str]]:
    """Strategy -> its lines."""
    names = {s: s + NATIVE if runs_natively(op, s) else s for s in op.strategies}
    lines: dict[str, list[str]] = {name: [] for name in names.values()}
    for length in LENGTHS:
        loops = length > LONGEST_LOOP
        run = {s: name for s, name in names.items() if not (loops and name == "recurrent")}
        both = [work for strategy in run for work in works(op, strategy, length)]
        found = milliseconds(both, 9 if length <= 1024 else 5)
        for name, forward, training in zip(run.values(), found[::2], found[1::2], strict=True):
            lines[name].append(f"        Timing({length}, {forward:.3g}, {training:.3g}),")
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
