"""Budget: time traded for memory, until what a plan takes fits in so many bytes.

There are two ways to take less. A node can run by a strategy that keeps less, and a region can be run again for the
backward pass instead of being kept. Each costs time; the moves that cost least for each byte come first, as many as it
takes, and what turns out not to be needed is taken back. Regions of several blocks keep fewer streams between them and
more inside, so that all sizes of region are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from smrdsl.core.errors import SmrError
from smrdsl.graph.cost import Footprint, Job, footprint, stream_bytes
from smrdsl.graph.graph import Graph
from smrdsl.plan.measured import native_runs, ordinary_time
from smrdsl.plan.memory import Memory, inference, parts, training
from smrdsl.plan.regions import Region, blocks, joined
from smrdsl.plan.terms import Choice, Conditions

FORWARD = 1 / 3
"""Of the time of a forward and a backward pass, the part that the first takes."""
PATIENCE = 64
"""Moves that are tried to be taken back."""


class Costs:
    """What the nodes of a graph take under some conditions."""

    def __init__(self, g: Graph, conditions: Conditions) -> None:
        self.g, self.conditions = g, conditions
        c, timed = conditions, g.timed
        self.jobs = {k: Job(c.length, c.batch, c.dtype, native_runs(c, n.op, timed)) for k, n, _ in g}
        self._found: dict[object, Footprint] = {}

    def used(self, key: str, strategy: str | None) -> Footprint:
        """The footprint of a node, found once for nodes that are alike."""
        node = self.g.node(key)
        alike = (node.op.name, repr(node.params), node.strategy, self.g.input_types(key), strategy)
        if alike not in self._found:
            self._found[alike] = footprint(self.g, key, self.jobs[key], strategy)
        return self._found[alike]

    def bytes(self, key: str, strategy: str | None) -> float:
        """What a node keeps of its own, in training, and uses besides."""
        used = self.used(key, strategy)
        return used.temporary + (used.own if self.conditions.training else 0.0)

    def memory(self, strategies: Mapping[str, str], regions: tuple[Region, ...] = ()) -> Memory:
        found = parts(self.g, self.jobs, lambda key: self.used(key, strategies.get(key)))
        if self.conditions.training:
            return training(found, regions)
        return inference(self.g, found, self.jobs, stateful=self.conditions.stateful)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a plan became: its choices, what is run again in how much time, and the memory of all."""

    choices: Mapping[str, Choice]
    regions: tuple[Region, ...]
    again: float
    memory: Memory


@dataclass(frozen=True, slots=True)
class Move:
    """A way to take so many bytes less, in so many milliseconds more: another strategy of a node, or a region."""

    ms: float
    bytes: float
    key: str = ""
    strategy: str = ""
    region: Region | None = None


def within(costs: Costs, choices: Mapping[str, Choice]) -> Fitted:
    """The choices that fit in the budget with the least time, or these where there is none. Raises `SmrError`."""
    chosen = {key: c.strategy for key, c in choices.items()}
    memory, budget = costs.memory(chosen), costs.conditions.memory
    if budget is None or memory.peak <= budget:
        return Fitted(choices, (), 0.0, memory)
    changes = _strategies(costs, choices)
    tried = [_least_time(costs, chosen, [*changes, *again], budget) for again in _regions(costs, choices)]
    found = min((moves for moves in tried if moves is not None), key=_time, default=None)
    if found is None:
        raise SmrError(_refusal(costs, choices, budget))
    strategies, regions = _applied(chosen, found)
    told = {k: _changed(c, strategies[k]) for k, c in choices.items()}
    return Fitted(told, regions, _time([m for m in found if m.region]), costs.memory(strategies, regions))


def _changed(choice: Choice, strategy: str) -> Choice:
    if strategy == choice.strategy:
        return choice
    reason = f"for its memory, since {choice.strategy}, the fastest, takes more than is left"
    return replace(choice, strategy=strategy, reason=reason)


def _time(moves: list[Move]) -> float:
    return sum(m.ms for m in moves)


def _strategies(costs: Costs, choices: Mapping[str, Choice]) -> list[Move]:
    """For each node that the plan may decide, the strategies that take less than its own."""
    found = []
    for key, choice in choices.items():
        now = costs.bytes(key, choice.strategy)
        for strategy, ms in choice.predicted.items():
            less = now - costs.bytes(key, strategy)
            if less > 0:
                found.append(Move(max(0.0, ms - choice.predicted[choice.strategy]), less, key, strategy))
    return found


def _regions(costs: Costs, choices: Mapping[str, Choice]) -> list[list[Move]]:
    """The regions that may be run again, one list for each size."""
    if not costs.conditions.training:
        return [[]]
    single = blocks(costs.g)
    times = {r.name: sum(_forward_time(costs, k, choices.get(k)) for k in r.keys) for r in single}
    kept = {r.name: sum(_kept(costs, k, choices.get(k)) for k in r.keys) for r in single}
    found, count = [], 1
    while count == 1 or count < 2 * len(single):
        moves = []
        for run in joined(single, count):
            inside = [r for r in single if r.keys[0] in set(run.keys)]
            moves.append(Move(sum(times[r.name] for r in inside), 1.0 + sum(kept[r.name] for r in inside), region=run))
        found.append(moves)
        count *= 2
    return found


def _kept(costs: Costs, key: str, choice: Choice | None) -> float:
    return costs.used(key, choice and choice.strategy).own


def _forward_time(costs: Costs, key: str, choice: Choice | None) -> float:
    """Milliseconds of a node's forward pass: a third of both, or a guess of what has no timings."""
    if choice and choice.strategy in choice.predicted:
        return choice.predicted[choice.strategy] * (FORWARD if costs.conditions.training else 1.0)
    used, node = costs.used(key, choice and choice.strategy), costs.g.node(key)
    moved = used.own + stream_bytes(node.type, costs.jobs[key])
    return ordinary_time(used.flops * costs.conditions.batch, moved, costs.conditions.threads)


def whole_time(costs: Costs, choices: Mapping[str, Choice]) -> float:
    """Milliseconds of all nodes: of what has timings by them, of the rest by a guess."""
    forward = sum(_forward_time(costs, key, choices.get(key)) for key in costs.g.keys)
    return forward / FORWARD if costs.conditions.training else forward


def _least_time(costs: Costs, chosen: Mapping[str, str], moves: list[Move], budget: int) -> list[Move] | None:
    """The moves that fit at the least time; None where all of them do not."""
    ordered = sorted(moves, key=lambda m: m.ms / m.bytes)

    def fits(taken: list[Move]) -> bool:
        return costs.memory(*_applied(chosen, taken)).peak <= budget

    if not fits(ordered):
        return None
    count = _first(lambda n: fits(ordered[:n]), len(ordered))
    taken = ordered[:count]
    for move in sorted(taken, key=lambda m: -m.ms)[:PATIENCE]:
        fewer = [m for m in taken if m is not move]
        if fits(fewer):
            taken = fewer
    return taken


def _applied(chosen: Mapping[str, str], moves: list[Move]) -> tuple[dict[str, str], tuple[Region, ...]]:
    """The strategies and regions after some moves; of several strategies of a node, that which keeps least is taken."""
    rising = sorted((m for m in moves if m.region is None), key=lambda m: m.bytes)
    strategies = {**chosen, **{m.key: m.strategy for m in rising}}
    return strategies, tuple(m.region for m in moves if m.region is not None)


def _first(holds: Callable[[int], bool], most: int) -> int:
    """The least number that something holds of, which holds of all larger ones up to the most."""
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


# --- where nothing fits


def _least(costs: Costs, choices: Mapping[str, Choice]) -> Memory:
    """The least memory that there is a way to take."""
    chosen = {}
    for key, choice in choices.items():
        free = [*choice.predicted] or [choice.strategy]
        chosen[key] = min(free, key=lambda s: costs.bytes(key, s))
    tried = [costs.memory(*_applied(chosen, moves)) for moves in _regions(costs, choices)]
    return min(tried, key=lambda m: m.peak)


def _refusal(costs: Costs, choices: Mapping[str, Choice], budget: int) -> str:
    """The least that would do, and the largest batch or length that fits."""
    c, g = costs.conditions, costs.g

    def needs(**changes: int) -> Memory:
        return _least(Costs(g, replace(c, **changes)), choices)

    least = needs()
    work = "training by AdamW" if c.training else "inference"
    told = f"{work} at length {c.length:,} and batch {c.batch:,} needs {size(least.peak)} at least"
    if (held := least.weights + least.gradients + least.optimiser) > budget:
        return f"{told}: the weights and what goes with them alone are {size(held)}; {size(budget)} is not enough"
    batch = _largest(lambda n: needs(batch=n).peak <= budget, c.batch)
    if batch:
        return f"{told}; {size(budget)} holds batch {batch:,}"
    length = _largest(lambda n: needs(batch=1, length=n).peak <= budget, c.length)
    told += f", batch 1 {size(needs(batch=1).peak)}" if c.batch > 1 else ""
    return f"{told}; {size(budget)} holds batch 1 of length {length:,}" if length else f"{told}; no length fits"


def _largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest number below `most` that fits, 0 where none does."""
    return max(0, _first(lambda n: not fits(n + 1), most - 1))


def size(count: float) -> str:
    """`3.1 GiB`, as people write bytes."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:.0f} B"
