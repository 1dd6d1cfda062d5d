"""What an operator declares of its cost: work and memory by strategy, and the timings that were measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smrdsl.core.types import StreamType

Streams = tuple[StreamType, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one sequence: floating point operations, and how many numbers memory has to hold.

    For the backward pass are kept: `activations` of its own for each sequence, `once` for a batch of any size, and its
    inputs and its output where it says so, which may be those of others too. `temporary` are used in the course of the
    work and given back, in a batch at most `most`, since some work goes by blocks.
    """

    flops: float = 0.0
    activations: float = 0.0
    once: float = 0.0
    inputs: bool = True
    output: bool = False
    temporary: float = 0.0
    most: float = math.inf


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one thread at a length, with width 256, batch 4 and the default arguments, in float32.

    `batch`, `width` and `work` say how they grow, forward and training: with which power of the batch, of the width,
    and of the operations of other arguments. Each was measured against a quarter. From a state on nothing is trained,
    and both figures are those of the forward pass.
    """

    length: int
    forward: float
    training: float
    batch: tuple[float, float] = (1.0, 1.0)
    width: tuple[float, float] = (1.0, 1.0)
    work: tuple[float, float] = (1.0, 1.0)


def positions(stream: StreamType, length: int) -> int:
    """How many vectors a stream has: its length, or one where it was pooled."""
    return length if stream.timed else 1


def pointwise_cost(p: Any, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    """One operation for each element that comes in; the inputs are kept."""
    return Cost(elements(inputs, length))


def keeping(own: float = 0.0, *, inputs: bool = False, output: bool = False) -> Callable[..., Cost]:
    """The same of an operator that keeps so many numbers of its own for each that comes in, and what it says."""

    def cost(p: Any, streams: Streams, result: StreamType, length: int, strategy: str) -> Cost:
        numbers = elements(streams, length)
        return Cost(numbers, own * numbers, inputs=inputs, output=output)

    return cost


def elements(inputs: Streams, length: int) -> int:
    """How many numbers streams have."""
    return sum(positions(i, length) * i.width for i in inputs)


def way(strategy: str) -> tuple[str, bool]:
    """The strategy that a cost is asked of, and whether a native kernel runs: from `recurrent+native`."""
    name, _, kind = strategy.partition("+")
    return name, kind == "native"
