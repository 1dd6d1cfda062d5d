"""Timing: how long pieces of work take, side by side, so that what the machine does besides falls on all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.graph.graph import Graph
from smrdsl.lowering.layers import draw_for

Work = Callable[[], object]
K = TypeVar("K", bound=Hashable)
LEAST_RUNS, MOST_RUNS = 3, 25


@contextmanager
def threads(count: int | None) -> Iterator[int]:
    """Run with so many threads, or with those that torch takes; gives their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def medians(works: Mapping[K, Work], seconds: float) -> dict[K, float]:
    """Milliseconds of each piece of work: the median of runs that take turns, for about so many seconds in all.

    The clock is the processor's where one thread works, which does not see what else runs; else the wall's.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    for work in works.values():
        work()
    found: dict[K, list[float]] = {name: [] for name in works}
    end = time.perf_counter() + seconds
    for run in range(MOST_RUNS):
        if run >= LEAST_RUNS and time.perf_counter() > end:
            break
        for name, work in works.items():
            start = clock()
            work()
            found[name].append(clock() - start)
    return {name: 1000 * statistics.median(times) for name, times in found.items()}


def node_works(
    g: Graph, key: str, strategies: tuple[str, ...], length: int, batch: int, *, training: bool
) -> dict[str, Work]:
    """The work of one node of a graph by each strategy: forward, or forward and backward."""
    node = g.node(key)
    inputs, output = g.seen_types(key)
    layer = node.op.load_layer()(node.params, inputs, output)
    if hasattr(layer, "reset_parameters"):
        layer.reset_parameters(draw_for(0, key))
    streams = [stream(i, batch, length) for i in inputs]
    return {s: work_of(layer, s, streams, training) for s in strategies}


def work_of(
    layer: nn.Module,
    strategy: str,
    streams: list[Tensor],
    training: bool,
    state: tuple[Tensor, ...] | None = None,
    **clock: Tensor,
) -> Work:
    """A layer's forward, or forward and backward, by a strategy; of a chunk after a state where there is one."""

    def run() -> Tensor:
        layer.strategy = strategy  # type: ignore[assignment]
        if state is None:
            return layer(*streams, **clock)
        return layer.extend(*streams, *state, **clock)[0]  # type: ignore[operator]

    def forward() -> None:
        with torch.no_grad():
            run()

    def both() -> None:
        layer.zero_grad()
        for s in streams:
            s.grad = None
            s.requires_grad_()
        run().square().mean().backward()

    return both if training else forward


def stream(i: StreamType, batch: int, length: int) -> Tensor:
    """A sequence of normal numbers, or of tokens, of a type."""
    shape = [d if isinstance(d, int) else {"B": batch, "L": length}[d] for d in i.dims]
    source = torch.Generator().manual_seed(0)
    if i.kind == "index":
        return torch.randint(i.vocab or 1, shape, generator=source)
    return torch.randn(shape, generator=source)


def model_input(g: Graph, batch: int, length: int) -> Tensor:
    """What a whole model takes: with an axis of 2 behind the batch where it is one of pairs."""
    type_ = g.node(g.input).type
    if not type_.paired:
        return stream(type_, batch, length)
    return stream(type_.single(), 2 * batch, length).unflatten(0, (batch, 2))


def model_work(model: nn.Module, u: Tensor, *, training: bool) -> Work:
    """A whole model's forward, or forward and backward."""

    def forward() -> None:
        with torch.no_grad():
            model(u)

    def both() -> None:
        model.zero_grad()
        model(u).square().mean().backward()

    return both if training else forward


def alike(g: Graph, keys: tuple[str, ...]) -> Iterator[list[str]]:
    """The nodes of which one tells about all: the same operator, arguments and streams."""
    groups: dict[object, list[str]] = {}
    for key in keys:
        node = g.node(key)
        groups.setdefault((node.op.name, node.params, g.input_types(key)), []).append(key)
    yield from groups.values()
