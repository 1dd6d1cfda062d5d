"""Plan: for every node that can be executed in several ways, the candidates, the choice and the reason, as plain data.

Each node is given the strategy that is predicted fastest. Where a plan has to fit in so much memory, `budget.py` then
trades time for it. What lies behind the figures: `measured.py` for time, `memory.py` for memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from smrdsl.graph.graph import Graph
from smrdsl.ops.contract import Operator
from smrdsl.plan.budget import Costs, whole_time, within
from smrdsl.plan.measured import curves, gpu_runs, native_runs, predict
from smrdsl.plan.memory import Memory
from smrdsl.plan.regions import Region
from smrdsl.plan.terms import DEFAULT_LENGTH, Choice, Conditions

__all__ = ["DEFAULT_LENGTH", "Choice", "Conditions", "Plan", "make_plan"]
STEADY, VARYING, LOOP = "conv", "scan", "recurrent"
"""What is chosen where nothing was measured: for a system that stays, for one that changes, and that by a kernel."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The choices by node, and the conditions they were made for; what is run again, and the memory that it all takes.

    `time` is what all is predicted to take, in milliseconds, of which `again` is for running regions again.
    """

    conditions: Conditions
    choices: Mapping[str, Choice]
    memory: Memory
    recompute: tuple[Region, ...] = ()
    again: float = 0.0
    time: float = 0.0

    @property
    def strategies(self) -> dict[str, str]:
        return {key: choice.strategy for key, choice in self.choices.items()}

    def as_dict(self) -> dict[str, Any]:
        """What plan.json holds."""
        return {
            "conditions": asdict(self.conditions),
            "choices": {key: asdict(choice) for key, choice in self.choices.items()},
            "memory": asdict(self.memory),
            "recompute": [asdict(region) for region in self.recompute],
            "again": self.again,
            "time": self.time,
        }


def make_plan(g: Graph, conditions: Conditions) -> Plan:
    """A strategy for every node that has more than one way, within a budget if there is one. Raises `SmrError`."""
    costs = Costs(g, conditions)
    timed = g.timed
    choices = {key: _choose(costs, key, timed) for key in g.keys if g.node(key).op.strategies}
    fitted = within(costs, choices)
    time = whole_time(costs, fitted.choices) + fitted.again
    return Plan(conditions, fitted.choices, fitted.memory, fitted.regions, fitted.again, time)


def _choose(costs: Costs, key: str, timed: bool) -> Choice:
    """The fastest, or what the spec asks for."""
    node, conditions = costs.g.node(key), costs.conditions
    candidates = [s for s in node.op.ways(node.params) if not (timed and s == "conv")]
    taken = {s: int(costs.bytes(key, s)) for s in candidates}
    if node.strategy != "auto":
        return Choice(node.strategy, "the spec asks for it with `execute`", {}, taken)
    note = "; conv needs one step for all samples, and this model is timed" if timed else ""
    if conditions.device.partition(":")[0] != "cpu":
        return _unmeasured(node.op, candidates, conditions, taken, note)
    natively = native_runs(conditions, node.op, timed)
    found = curves(node.op, conditions, natively, timed)
    predicted = {s: predict(costs.g, key, s, found[s], conditions) for s in candidates if s in found}
    if natively and any(found[s].native for s in predicted):
        note += "; recurrent is a native kernel"
    if not predicted:
        return Choice(candidates[0], f"its first strategy; no timings are known{note}", {}, taken)
    best = min(predicted, key=predicted.__getitem__)
    others = ", ".join(f"{s} {ms:.3g} ms" for s, ms in predicted.items() if s != best)
    work = "forward and backward" if conditions.training else "forward"
    where = f"length {conditions.length}, batch {conditions.batch}"
    reason = f"predicted fastest at {where}, {work}: {predicted[best]:.3g} ms; {others}{note}"
    return Choice(best, reason, predicted, taken)


def _unmeasured(op: Operator, candidates: list[str], c: Conditions, taken: Mapping[str, int], note: str) -> Choice:
    """By a rule where nothing was measured: in parallel, since a device with many cores waits for a loop."""
    if STEADY in candidates:
        best, why = STEADY, "a convolution, since the system stays"
    elif LOOP in candidates and gpu_runs(c, op):
        best, why = LOOP, "by its kernel for GPUs, since the system changes"
    else:
        best = VARYING if VARYING in candidates else candidates[0]
        why = "in chunks, since the system changes"
    return Choice(best, f"by rule, {why}; nothing was measured on {c.device}: no time is predicted{note}", {}, taken)
