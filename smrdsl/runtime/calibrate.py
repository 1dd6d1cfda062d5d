"""Calibrate: measures what every strategy of every core takes on this machine, for the plan to choose by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from smrdsl.core.types import StreamType
from smrdsl.lowering.layers import draw_for
from smrdsl.ops.contract import Operator, Streams, Timing
from smrdsl.ops.registry import operators
from smrdsl.plan.measured import BATCH, NATIVE, WIDTH
from smrdsl.runtime.timing import medians, stream, work_of

LENGTHS = (1, 16, 128, 1024, 8192)
SECONDS = 0.4
"""For each operator and length, at least; three runs of everything may take longer."""
LONGEST = 600.0
"""Milliseconds: a strategy that is expected to take longer at a length is not measured there; a plan extrapolates."""


class Native(TorchDispatchMode):
    """Looks on, and knows whether a native kernel of ours ran."""

    ran = False

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.ran |= function.namespace == "smrdsl"
        return function(*args, **(kwargs or {}))


def cores() -> list[Operator]:
    """The operators that are measured: those of several strategies, of which timings are declared."""
    return [op for op in operators().values() if len(op.strategies) > 1 and op.timings]


def widths(op: Operator) -> Streams:
    """Streams as wide as those of the declared timings: of operators over several, as in their first sample, scaled."""
    first = op.samples[0][1]
    scale = WIDTH // first[0].width
    return tuple(StreamType.real(i.width * scale) for i in first) if len(first) > 1 else (StreamType.real(WIDTH),)


def measure(op: Operator) -> Iterator[tuple[int, Mapping[str, Timing]]]:
    """The timings of an operator by strategy, length after length."""
    layer, inputs = make(op)
    names = {s: s + NATIVE if runs_natively(layer, s, inputs) else s for s in op.strategies}
    last: dict[str, Timing] = {}
    for length in LENGTHS:
        streams = [stream(i, BATCH, length) for i in inputs]
        able = [s for s in names if s not in last or last[s].training * length / last[s].length < LONGEST]
        works = {(s, t): work_of(layer, s, streams, t) for s in able for t in (False, True)}
        found = medians(works, SECONDS)
        timings = {s: Timing(length, found[s, False], found[s, True]) for s in able}
        last |= timings
        yield length, {names[s]: t for s, t in timings.items()}


def make(op: Operator) -> tuple[nn.Module, Streams]:
    """A layer with the default arguments, or those of the first sample where there are none, and its streams."""
    inputs = widths(op)
    params = op.params() if len(inputs) == 1 else op.samples[0][0]
    layer = op.load_layer()(params, inputs, op.infer(params, inputs))
    layer.reset_parameters(draw_for(0, op.name))
    return layer, inputs


def runs_natively(layer: nn.Module, strategy: str, inputs: Streams) -> bool:
    """Whether a strategy of a layer runs a native kernel here."""
    layer.strategy = strategy  # type: ignore[assignment]
    streams: list[Tensor] = [stream(i, 1, 2) for i in inputs]
    with torch.no_grad(), Native() as seen:
        layer(*streams)
    return seen.ran
