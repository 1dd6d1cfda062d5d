"""The regret of the plan on shapes that were not calibrated on: `python -m benchmarks.regret [OPERATOR ...]`.

For each core and shape (length, batch, width, state) and for inference and training, every strategy runs beside the
others by one thread, and the time of the one that the plan chooses is divided by that of the best. Those that seem
worse than `NEAR` are measured again, three times as long, since a neighbour on the machine can make any pair look so.
Printed are the worst, and how many are near the best. `--seconds` is the time for each shape.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from smrdsl.core.types import StreamType
from smrdsl.graph.graph import Graph, Location, Node
from smrdsl.ops.contract import Operator
from smrdsl.plan.plan import make_plan
from smrdsl.plan.terms import Choice, Conditions
from smrdsl.runtime.calibrate import cores
from smrdsl.runtime.timing import medians, node_works

NEAR = 1.1
LENGTHS = (40, 200, 700, 2500)
BATCHES = (1, 2, 6)
WIDTHS = (64, 192, 320)
STATES = (0.5, 1.0)
MOST = 4_000_000
"""Numbers of a stream, so that a shape takes seconds and not minutes."""
PLACE = Location("<regret>", 1, 1, "")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a core is run with."""

    length: int
    batch: int
    width: int
    state: float
    mode: str


def shapes(count: int, seed: int) -> Iterator[Shape]:
    """So many shapes, drawn from all that there are; none has a length, a width or a state that is calibrated on."""
    every = [Shape(n, b, w, s, m) for n in LENGTHS for b in BATCHES for w in WIDTHS for s in STATES
             for m in ("infer", "train") if n * b * w < MOST]  # fmt: skip
    yield from random.Random(seed).sample(every, count)


def graph_of(op: Operator, shape: Shape) -> Graph:
    """A graph of an input and one core, and what a core of several streams reads."""
    p, inputs = op.measured_with(shape.width, shape.state)
    return Graph.build("regret", [*_sources(inputs), ("core", _node(op, p, inputs), _names(inputs))], "core")


def _names(inputs: tuple[StreamType, ...]) -> tuple[str, ...]:
    return tuple(f"in{i}" for i in range(len(inputs)))


def _sources(inputs: tuple[StreamType, ...]) -> Iterator[tuple[str, Node, tuple[str, ...]]]:
    from smrdsl.ops.registry import operators

    signal = operators()["signal"]
    for name, stream in zip(_names(inputs), inputs, strict=True):
        yield name, Node(signal, signal.params.model_validate({"channels": stream.width}), stream, PLACE), ()


def _node(op: Operator, p: object, inputs: tuple[StreamType, ...]) -> Node:
    return Node(op, p, op.infer(p, inputs), PLACE)  # type: ignore[arg-type]


def regret(op: Operator, shape: Shape, seconds: float) -> tuple[float, Choice, dict[str, float]]:
    """Time of the chosen / of the best, the choice, and the milliseconds of all."""
    g = graph_of(op, shape)
    c = Conditions(shape.length, shape.batch, shape.mode, threads=1)
    choice = make_plan(g, c).choices["core"]
    likely = tuple(s for s, ms in choice.predicted.items() if ms < 8 * min(choice.predicted.values()))
    works = node_works(g, "core", likely, c.length, c.batch, training=c.training)
    found = medians(works, seconds)
    if found[choice.strategy] > NEAR * min(found.values()):
        found = medians(works, 3 * seconds)
    return found[choice.strategy] / min(found.values()), choice, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("operators", nargs="*")
    parser.add_argument("--shapes", type=int, default=12, help="for each core")
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    every: list[float] = []
    for op in cores():
        if given.operators and op.name not in given.operators:
            continue
        own = []
        for shape in shapes(given.shapes, given.seed):
            ratio, choice, found = regret(op, shape, given.seconds)
            own.append(ratio)
            if ratio > NEAR:
                told = ", ".join(f"{s} {ms:.3g} ({choice.predicted[s]:.3g})" for s, ms in found.items())
                print(f"  {ratio:.2f}  {op.name} {shape}: {choice.strategy}; measured (predicted): {told}", flush=True)
        every += own
        print(f"{op.name}: {_near(own)} of {len(own)} shapes within {NEAR - 1:.0%}, worst {max(own):.2f}", flush=True)
    print(f"all: {_near(every)} of {len(every)} = {_near(every) / len(every):.0%} within {NEAR - 1:.0%}", flush=True)


def _near(ratios: list[float]) -> int:
    return sum(ratio <= NEAR for ratio in ratios)


if __name__ == "__main__":
    main()
