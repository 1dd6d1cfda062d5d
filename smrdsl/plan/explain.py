"""Explain: why a node is executed as it is, and what would change that; plain data for whoever tells it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from smrdsl.core.errors import SmrError
from smrdsl.graph.graph import Graph
from smrdsl.plan.plan import Choice, Plan, make_plan

LONGEST = 1 << 17


@dataclass(frozen=True, slots=True)
class Turn:
    """Other conditions under which the plan would choose otherwise."""

    condition: str
    strategy: str


def turns(g: Graph, plan: Plan) -> dict[str, list[Turn]]:
    """For each planned node: the nearest shorter and longer length at which its choice turns, and the other mode."""
    found: dict[str, list[Turn]] = {key: [] for key in plan.choices}
    now = plan.conditions
    for direction, beyond in ((_shorter(now.length), "or less"), (_longer(now.length), "or more")):
        open_ = set(found)
        for length in direction:
            try:
                other = make_plan(g, replace(now, length=length)).choices
            except SmrError:  # it would not fit
                break
            for key in sorted(k for k in open_ if other[k].strategy != plan.choices[k].strategy):
                open_.remove(key)
                found[key].append(Turn(f"length {length:,} {beyond}", other[key].strategy))
    mode = "infer" if now.mode == "train" else "train"
    for key, choice in make_plan(g, replace(now, mode=mode, memory=None)).choices.items():
        if choice.strategy != plan.choices[key].strategy:
            found[key].append(Turn(f"mode {mode}", choice.strategy))
    return found


def _shorter(length: int) -> Iterator[int]:
    """Powers of two below a length, the nearest first."""
    power = 1 << max(0, (length - 1).bit_length() - 1)
    while power >= 1 and length > 1:
        yield power
        power //= 2


def _longer(length: int) -> Iterator[int]:
    power = 1 << length.bit_length()
    while power <= LONGEST:
        yield power
        power *= 2


def behind(choice: Choice) -> list[tuple[str, float, float]]:
    """The candidates with their predicted milliseconds and how many times the best's that is, the best first."""
    best = min(choice.predicted.values(), default=1.0) or 1.0
    ordered = sorted(choice.predicted.items(), key=lambda item: item[1])
    return [(strategy, ms, ms / best) for strategy, ms in ordered]
