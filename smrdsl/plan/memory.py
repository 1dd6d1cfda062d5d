"""Memory: how many bytes of tensors a model has at its peak, predicted from what operators declare.

In training a model holds its weights, their gradients and, for AdamW, two more numbers for each; what every node keeps
for the backward pass; and what one node at a time uses besides. The backward pass frees what was kept from the end to
the front, while gradients come. A region that is run again keeps only the stream that it reads; all else it keeps just
while its own part of the backward pass runs.

In inference it holds its weights, the streams that are still to be read, and what one node uses; in decoding also the
state, as it was and as it will be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from smrdsl.graph.cost import Footprint, Job, state_bytes, stream_bytes, streams_kept
from smrdsl.graph.graph import Graph
from smrdsl.plan.regions import Region

ADAMW = 2
"""Numbers that the optimiser keeps for each parameter."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes, of which `peak` are in memory at one time. `temporary` is the most that a single node uses."""

    weights: int
    gradients: int
    optimiser: int
    kept: int
    state: int
    temporary: int
    peak: int


@dataclass(frozen=True, slots=True)
class Part:
    """What a node takes, in bytes: its footprint, its stream and its weights; what it keeps and reads, by keys."""

    key: str
    used: Footprint
    keeps: tuple[str, ...]
    stream: int
    inputs: tuple[str, ...]
    weights: int


def parts(g: Graph, jobs: Mapping[str, Job], used_by: Callable[[str], Footprint]) -> list[Part]:
    """The nodes of a graph in order, each with its footprint."""
    found = []
    for key, node, inputs in g:
        used, job = used_by(key), jobs[key]
        weights = job.size * sum(p.size for p in g.parameters(key).values())
        found.append(Part(key, used, streams_kept(g, key, used), stream_bytes(node.type, job), inputs, weights))
    return found


def training(found: list[Part], regions: Iterable[Region] = ()) -> Memory:
    """The memory of a step of training, with some regions run again for the backward pass."""
    region = {key: i for i, r in enumerate(regions) for key in r.keys}
    stream = {p.key: p.stream for p in found}
    kept, inside = _kept(found, region, stream)
    weights = sum(p.weights for p in found)
    always = (1 + ADAMW) * weights
    peak = always + weights  # when the optimiser steps
    held, gradients = float(sum(kept.values())), 0
    again = dict.fromkeys(region.values(), 0.0)
    for i in again:
        again[i] = sum(inside[k] for k, r in region.items() if r == i)
    for p in reversed(found):
        own = region.get(p.key)
        more = again[own] if own is not None else 0.0
        passing = stream[p.key] + sum(stream[i] for i in p.inputs) + p.used.temporary
        gradients += p.weights
        peak = max(peak, always + gradients + int(held + more + passing))
        held -= kept[p.key]
        if own is not None:
            again[own] -= inside[p.key]
    most = max((int(p.used.temporary) for p in found), default=0)
    return Memory(weights, weights, ADAMW * weights, int(sum(kept.values())), 0, most, peak)


def _kept(
    found: list[Part], region: Mapping[str, int], stream: Mapping[str, int]
) -> tuple[dict[str, float], dict[str, float]]:
    """Bytes that are kept from the time of each node on: until its part of the backward pass, and in its region."""
    kept = dict.fromkeys(stream, 0.0)
    inside = dict.fromkeys(stream, 0.0)
    through: set[str] = set()
    within: set[str] = set()
    for p in found:
        own = region.get(p.key)
        if own is None:
            kept[p.key] += p.used.own
            through.update(p.keeps)
            continue
        inside[p.key] += p.used.own
        within.update(k for k in p.keeps if region.get(k) == own)
        through.update(k for k in p.inputs if region.get(k) != own)
    for key in through:
        kept[key] += stream[key]
    for key in within - through:
        inside[key] += stream[key]
    return kept, inside


def inference(g: Graph, found: list[Part], jobs: Mapping[str, Job], *, stateful: bool) -> Memory:
    """The memory of a forward pass without gradients; of a chunk after a state where `stateful`."""
    stream = {p.key: p.stream for p in found}
    last = {source: i for i, p in enumerate(found) for source in p.inputs} | {g.output: len(found)}
    alive: dict[str, int] = {}
    busiest = 0
    for i, p in enumerate(found):
        alive[p.key] = stream[p.key]
        busiest = max(busiest, sum(alive.values()) + int(p.used.temporary))
        alive = {key: size for key, size in alive.items() if last.get(key, i) > i}
    weights = sum(p.weights for p in found)
    state = 2 * sum(state_bytes(g, k, j) * j.batch for k, j in jobs.items()) if stateful else 0
    most = max((int(p.used.temporary) for p in found), default=0)
    return Memory(weights, 0, 0, 0, state, most, weights + state + busiest)
