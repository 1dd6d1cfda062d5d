"""Calibrate: measures what every strategy of every core takes on this machine, for the plan to choose by.

At each length a core runs as timings are declared (`ops/contract.py`), and with a quarter of the batch, of the width
and of the state, which tells how its time grows with them; where it minds the step also with gaps, and where it has a
state from one on. All of it takes turns, so that what the machine does besides falls on all alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from smrdsl.graph.cost import NATIVE
from smrdsl.lowering.layers import draw_for
from smrdsl.ops.contract import Operator, Streams, Timing
from smrdsl.ops.registry import operators
from smrdsl.plan.measured import BATCH, QUARTER, STATE, TIMED, WIDTH
from smrdsl.runtime.timing import Work, medians, stream, work_of

LENGTHS = (1, 16, 128, 1024, 4096)
GROWN = 1024
"""The longest that other sizes and states are measured at; beyond it they are as there."""
SECONDS = 0.3
"""For each operator and length, at least; three runs of everything may take longer."""
TIMED_GROWN = 128
"""The longest with gaps, which most cores take one by one."""
LONGEST = 600.0
"""Milliseconds: a strategy that is expected to take longer at a length is not measured there; a plan extrapolates."""
SLOPE = 0.6
"""The power of the length by which the time of what is no loop is expected to grow."""


class Native(TorchDispatchMode):
    """Looks on, and knows whether a native kernel of ours ran."""

    ran = False

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.ran |= function.namespace == "smrdsl"
        return function(*args, **(kwargs or {}))


@dataclass(frozen=True, slots=True)
class Way:
    """How a core is run for its timings: by a strategy, with gaps or from a state on, in a size of its own."""

    strategy: str
    kind: str = ""
    batch: float = 1.0
    width: float = 1.0
    state: float = 1.0


Found = Mapping[tuple[Way, bool], float]
"""Milliseconds of ways, forward and in training."""
SIZES = ("batch", "width", "state")


def cores() -> list[Operator]:
    """The operators that are measured: those of several strategies, of which timings are declared."""
    return [op for op in operators().values() if len(op.strategies) > 1 and op.timings]


def measure(
    op: Operator,
    lengths: tuple[int, ...] = LENGTHS,
    seconds: float | None = None,
    strategies: tuple[str, ...] | None = None,
) -> Iterator[tuple[int, Mapping[str, Timing]]]:
    """The timings of an operator by strategy, of all or of some, length after length."""
    usual = [w for w in _usual(op) if strategies is None or w.strategy in strategies]
    # A layer for each, since a layer keeps only what it made last.
    sized = {w: Sized(op, w) for u in usual for w in (u, *_less(u))}
    names = {way: sized[way].name() for way in usual}
    last: dict[Way, Timing] = {}
    for length in lengths:
        able = [w for w in names if _worthwhile(w, length, last)]
        less = [w for u in able if length <= GROWN for w in _less(u)]
        runs = [(w, t) for w in (*able, *less) for t in (False, True) if not (t and w.kind == STATE)]
        works = {(w, t): sized[w].work(length, t) for w, t in runs}
        found = medians(works, SECONDS if seconds is None else seconds)
        timings: dict[Way, Timing] = {}
        for way in able:  # the usual ones first
            plain = replace(way, kind="")
            timings[way] = _timing(op, way, length, found, timings.get(plain, last.get(plain)))
        last |= timings
        yield length, {names[w]: t for w, t in timings.items()}


def _usual(op: Operator) -> list[Way]:
    """The ways to run a core in its usual size."""
    p, inputs = op.measured_with(WIDTH)
    kinds = [TIMED] * op.uses_step(p) + [STATE] * bool(op.state(p, inputs, op.infer(p, inputs)))
    found = [Way(s) for s in op.ways(p)]
    return found + [Way(s, k) for k in kinds for s in op.ways(p) if not (k == TIMED and s == "conv")]


def _less(way: Way) -> list[Way]:
    """A way in its smaller sizes, where that tells how its time grows."""
    return [] if way.kind else [replace(way, **{size: QUARTER}) for size in SIZES]


def _worthwhile(way: Way, length: int, last: Mapping[Way, Timing]) -> bool:
    """Whether a way is worth its time at a length: what is not is taken to grow with the length."""
    if way not in last:
        return True
    longest = {TIMED: TIMED_GROWN, STATE: GROWN}.get(way.kind, length)
    slope = 1.0 if way.strategy == "recurrent" else SLOPE
    return length <= longest and last[way].training * (length / last[way].length) ** slope < LONGEST


def _timing(op: Operator, way: Way, length: int, found: Found, like: Timing | None) -> Timing:
    """What was found of a way, with the powers by which it grows: its own, or those of the same in its plain kind.

    From a state on nothing is kept between calls, as in training: so it grows.
    """
    forward = found[way, False]
    own = Timing(length, _digits(forward), _digits(found.get((way, True), forward)))
    if (replace(way, batch=QUARTER), False) in found:
        ratios = dict(zip(SIZES, (QUARTER, QUARTER, _work(op, way.strategy, length)), strict=True))
        powers = [(_power(found, way, s, r, False), _power(found, way, s, r, True)) for s, r in ratios.items()]
    elif like is not None:
        powers = [like.batch, like.width, like.work]
    else:
        return own
    if way.kind == STATE:
        powers = [(trained, trained) for _, trained in powers]
    return replace(own, **dict(zip(("batch", "width", "work"), powers, strict=True)))


def _power(found: Found, way: Way, size: str, ratio: float, training: bool) -> float:
    """By which power of a size the time grows: from 0 to what is a little above 1."""
    if ratio == 1.0:
        return 1.0
    less = found[replace(way, **{size: QUARTER}), training] / found[way, training]
    return round(min(1.2, max(0.0, math.log(less) / math.log(ratio))), 2)


def _work(op: Operator, strategy: str, length: int) -> float:
    """The operations with a quarter of the state, of those with all of it."""
    flops = []
    for state in (QUARTER, 1.0):
        p, inputs = op.measured_with(WIDTH, state)
        flops.append(op.cost(p, inputs, op.infer(p, inputs), length, strategy).flops)
    return flops[0] / flops[1] if flops[1] else 1.0


def _digits(number: float) -> float:
    return float(f"{number:.3g}")


class Sized:
    """A layer as it is measured one way."""

    def __init__(self, op: Operator, way: Way) -> None:
        self.way = way
        p, self.inputs = op.measured_with(int(WIDTH * way.width), way.state)
        output = op.infer(p, self.inputs)
        self.layer: nn.Module = op.load_layer()(p, self.inputs, output)
        self.layer.reset_parameters(draw_for(0, op.name))  # type: ignore[operator]
        self.states = op.state(p, self.inputs, output)

    def work(self, length: int, training: bool) -> Work:
        batch = int(BATCH * self.way.batch)
        state = tuple(torch.zeros(batch, *map(int, s.shape)) for s in self.states.values())
        clock = {"dt": torch.ones(batch, length)} if self.way.kind == TIMED else {}
        streams = streams_of(self.inputs, batch, length)
        after = state if self.way.kind == STATE else None
        return work_of(self.layer, self.way.strategy, streams, training, after, **clock)

    def name(self) -> str:
        """What the table of a way is called: also whether it runs a native kernel here."""
        return self.way.strategy + NATIVE * ran_natively(self.work(2, False)) + self.way.kind


def streams_of(inputs: Streams, batch: int, length: int) -> list[Tensor]:
    return [stream(i, batch, length) for i in inputs]


def ran_natively(work: Work) -> bool:
    """Whether a native kernel runs in this work, which is done."""
    with Native() as seen:
        work()
    return seen.ran
