"""What a strategy is predicted to take: interpolated between the timings that its operator declares.

Timings were measured at one width and batch and with the default arguments, by one thread. With each goes the power of
the batch, the width and the operations by which it grows: 1 where every number costs alike, less where calls cost more
than numbers, and 0 for the state of a convolution whose kernel is kept. A strategy has further tables for where a
native kernel runs, for gaps, and from a state on: `recurrent+native`, `scan+timed`, `conv+state`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from smrdsl import native
from smrdsl.graph.cost import NATIVE
from smrdsl.graph.graph import Graph
from smrdsl.ops.contract import Misfit, Operator, Streams, Timing
from smrdsl.plan.calibration import timings_of
from smrdsl.plan.terms import Conditions

WIDTH, BATCH = 256, 4
"""What the timings were measured at."""
QUARTER = 0.25
"""Of the batch, width and operations, at which it was timed too."""
TIMED, STATE = "+timed", "+state"
OPERATIONS, BYTES = 4e10, 4e9
"""A second, of one thread, for what has no timings."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The table of a strategy, whether it is that of a native kernel, and whether its time is that of a loop."""

    rows: Sequence[Timing]
    native: bool
    loop: bool


def native_runs(conditions: Conditions, op: Operator, timed: bool) -> bool:
    """Whether native kernels run an operator: on a CPU, in float32, and with gaps where its kernel takes them."""
    there = conditions.device == "cpu" and conditions.dtype != "float64" and native.available()
    return there and (not timed or _takes_gaps(op))


def gpu_runs(conditions: Conditions, op: Operator) -> bool:
    """Whether an operator has a kernel for GPUs that runs: where it has a native one, in float32, by Triton."""
    kernel = any(NATIVE in name for name in op.timings)
    return kernel and conditions.device.startswith("cuda") and conditions.dtype != "float64" and native.gpu_available()


def _takes_gaps(op: Operator) -> bool:
    """Those take gaps that were seen to, and where the system changes anyway."""
    return "conv" not in op.strategies or any(name.endswith(NATIVE + TIMED) for name in timings_of(op))


def curves(op: Operator, conditions: Conditions, natively: bool, timed: bool) -> dict[str, Curve]:
    """The tables that fit best, by strategy."""
    known = timings_of(op)
    found = {}
    for strategy in op.strategies:
        names = [n for n in _names(strategy, conditions, natively, timed) if n in known]
        if names:
            by = NATIVE in names[0]
            found[strategy] = Curve(known[names[0]], by, strategy == "recurrent" and not by)
    return found


def _names(strategy: str, conditions: Conditions, natively: bool, timed: bool) -> Iterator[str]:
    """What its table may be called, the best first."""
    kind = TIMED if timed else STATE if conditions.stateful else ""
    if natively:
        yield from dict.fromkeys((strategy + NATIVE + kind, strategy + NATIVE))
    yield from dict.fromkeys((strategy + kind, strategy))


def predict(g: Graph, key: str, strategy: str, curve: Curve, conditions: Conditions) -> float:
    """Milliseconds of a node, to three digits."""
    node, (inputs, _) = g.node(key), g.seen_types(key)
    c = conditions
    work = extra_work(node.op, node.params, inputs, c.length, strategy)
    sizes = c.batch * node.type.rows / BATCH, inputs[0].width / WIDTH, work
    ms = time_at(curve.rows, c.length, sizes, training=c.training)
    if c.threads > 1 and not curve.loop:  # calls take turns, numbers do not
        calls = min(ms, time_at(curve.rows, 1, (1.0, 1.0, 1.0), training=c.training))
        ms = calls + (ms - calls) / c.threads
    return float(f"{ms:.3g}")


def extra_work(op: Operator, p: Any, inputs: Streams, length: int, strategy: str) -> float:
    """How many times the operations of the arguments that were measured these take, the width apart."""
    usual = usual_work(op, length, strategy)
    here = op.cost(p, inputs, op.infer(p, inputs), length, strategy).flops / inputs[0].width
    return here / usual if usual and here else 1.0


def usual_work(op: Operator, length: int, strategy: str) -> float:
    """Operations a channel as measured; 0 for an operator that cannot be."""
    try:
        p, inputs = op.measured_with(WIDTH)
        return op.cost(p, inputs, op.infer(p, inputs), length, strategy).flops / WIDTH
    except (Misfit, ValueError):
        return 0.0


def time_at(rows: Sequence[Timing], length: int, sizes: tuple[float, float, float], *, training: bool) -> float:
    """Milliseconds, with so many times the batch, width and operations that were measured.

    Linear between measured lengths in the logarithms of both, proportional beyond the last.
    """
    points = [(r.length, _grown(r, sizes, training)) for r in rows]
    below = [p for p in points if p[0] <= length]
    above = [p for p in points if p[0] > length]
    if not below:
        return points[0][1]
    if not above:
        return below[-1][1] * length / below[-1][0]
    (x0, y0), (x1, y1) = below[-1], above[0]
    part = math.log(length / x0) / math.log(x1 / x0)
    return math.exp((1 - part) * math.log(y0) + part * math.log(y1))


def _grown(row: Timing, sizes: tuple[float, float, float], training: bool) -> float:
    ms = row.training if training else row.forward
    for size, power in zip(sizes, (row.batch, row.width, row.work), strict=True):
        ms *= growth(size, power[training])
    return ms


def growth(size: float, power: float) -> float:
    """How many times as long something takes at so many times the size that was measured.

    The power was found at a quarter of the size. Beyond it, the part that grows with the size is what counts: a power
    below 1, which has a part in it that does not grow, would soon promise too much.
    """
    if size <= 1.0 or power >= 1.0:
        return size**power
    growing = (1.0 - QUARTER**power) / (1.0 - QUARTER)
    return 1.0 + growing * (size - 1.0)


def ordinary_time(flops: float, moved: float, threads: int) -> float:
    """Milliseconds of work that has no timings: its operations, and the bytes that it writes."""
    return 1000 * (flops / OPERATIONS + moved / BYTES) / threads
