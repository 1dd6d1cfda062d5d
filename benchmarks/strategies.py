"""Times every strategy of every core at several lengths: `python -m benchmarks.strategies [OPERATOR ...]`.

One thread, float32, width 256, batch 4, default arguments; medians of process time. The plan chooses by these
numbers: what this prints is what an operator declares as its `timings`.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch

from smrdsl.core.types import StreamType
from smrdsl.lowering.layers import draw_for
from smrdsl.ops.contract import Operator
from smrdsl.ops.registry import operators
from smrdsl.plan.measured import BATCH, WIDTH

LENGTHS = (1, 4, 16, 64, 256, 1024, 4096, 16384)
LONGEST_LOOP = 1024
"""Beyond it a loop in Python is far behind; its time is proportional to the length."""
WIDTHS = {"ssd_scan": (WIDTH, 128, 128, WIDTH // 64)}
"""Of the streams of operators that read several."""


def milliseconds(work: Callable[[], object], runs: int) -> float:
    work()
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * statistics.median(times)


def measure(op: Operator, strategy: str, length: int) -> tuple[float, float]:
    """(forward, forward and backward) in milliseconds."""
    params, inputs = op.params(), tuple(map(StreamType.real, WIDTHS.get(op.name, (WIDTH,))))
    layer = op.load_layer()(params, inputs, op.infer(params, inputs))
    layer.reset_parameters(draw_for(0, op.name))
    layer.strategy = strategy
    streams = [torch.randn(BATCH, length, i.width) for i in inputs]
    runs = 9 if length <= 1024 else 3

    def forward() -> None:
        with torch.no_grad():
            layer(*streams)

    def training() -> None:
        layer.zero_grad()
        layer(*streams).square().mean().backward()

    return milliseconds(forward, runs), milliseconds(training, runs)


def main() -> None:
    torch.set_num_threads(1)
    for name, op in operators().items():
        if not op.strategies or (sys.argv[1:] and name not in sys.argv[1:]):
            continue
        print(f"{name}: Timing(length, forward, training) in milliseconds")
        for strategy in op.strategies:
            print(f'    "{strategy}": (')
            for length in LENGTHS:
                if strategy == "recurrent" and length > LONGEST_LOOP:
                    break
                forward, training = measure(op, strategy, length)
                print(f"        Timing({length}, {forward:.3g}, {training:.3g}),", flush=True)
            print("    ),")


if __name__ == "__main__":
    main()
