"""What a strategy is predicted to cost: interpolated between the timings that its operator declares.

Timings were measured at one width and batch and with the default arguments. For other arguments each strategy is scaled
by the work that its operator declares; but in inference a convolution does not depend on its system, whose kernel is
kept. A strategy that has a native kernel has a second table, `STRATEGY+native`, for where the kernel runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from smrdsl import native
from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Misfit, Operator, Streams, Timing

WIDTH, BATCH = 256, 4
"""What the timings were measured at."""
NATIVE = "+native"


def native_runs(device: str, dtype: str, timed: bool) -> bool:
    """Whether native kernels run under these conditions: on a CPU, in float32 inside, with one step for all samples."""
    return device == "cpu" and dtype != "float64" and not timed and native.available()


def curve(timings: Mapping[str, Sequence[Timing]], strategy: str, natively: bool) -> Sequence[Timing]:
    """The table of a strategy, of its native kernel if that runs and there is one."""
    return (timings.get(strategy + NATIVE) if natively else None) or timings[strategy]


def extra_work(op: Operator, p: Any, inputs: Streams, length: int, strategy: str, *, training: bool) -> float:
    """How many times the work of the default arguments these take, the width apart."""
    usual = usual_work(op, length, strategy)
    if not usual or (strategy == "conv" and not training):
        return 1.0
    return op.cost(p, inputs, op.infer(p, inputs), length, strategy).flops / inputs[0].width / usual


def usual_work(op: Operator, length: int, strategy: str) -> float:
    """Operations a channel with the default arguments; 0 for an operator that cannot stand on one stream with them."""
    try:
        p, inputs = op.params(), (StreamType.real(WIDTH),)
        return op.cost(p, inputs, op.infer(p, inputs), length, strategy).flops / WIDTH
    except (Misfit, ValueError):
        return 0.0


def predict(timings: Sequence[Timing], length: int, width: int, batch: int, *, training: bool) -> float:
    """Milliseconds: linear between measured lengths in the logarithms of both, proportional beyond the last."""
    points = [(t.length, t.training if training else t.forward) for t in timings]
    scale = width * batch / (WIDTH * BATCH)
    below = [p for p in points if p[0] <= length]
    above = [p for p in points if p[0] > length]
    if not below:
        return scale * points[0][1]
    if not above:
        return scale * below[-1][1] * length / below[-1][0]
    (x0, y0), (x1, y1) = below[-1], above[0]
    part = math.log(length / x0) / math.log(x1 / x0)
    return scale * math.exp((1 - part) * math.log(y0) + part * math.log(y1))
