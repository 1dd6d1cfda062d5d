"""Plan: for every node that can be executed in several ways, the candidates, the choice and the reason, as
plain data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from smrdsl.graph.graph import Graph
from smrdsl.ops.contract import Timing
from smrdsl.plan.calibration import timings_of
from smrdsl.plan.measured import NATIVE, curve, extra_work, native_runs, predict

DEFAULT_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class Conditions:
    """The job that a plan is made for."""

    length: int = DEFAULT_LENGTH
    batch: int = 1
    mode: str = "train"
    dtype: str = "float32"
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Choice:
    """How one node is executed. `predicted` gives milliseconds for each candidate; the plan may be overruled."""

    strategy: str
    reason: str
    predicted: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """The choices by node, and the conditions they were made for."""

    conditions: Conditions
    choices: Mapping[str, Choice]

    @property
    def strategies(self) -> dict[str, str]:
        return {key: choice.strategy for key, choice in self.choices.items()}

    def as_dict(self) -> dict[str, Any]:
        """What plan.json holds."""
        return {
            "conditions": asdict(self.conditions),
            "choices": {key: asdict(choice) for key, choice in self.choices.items()},
        }


def make_plan(g: Graph, conditions: Conditions) -> Plan:
    """A strategy for every node of the graph that has more than one way."""
    timed = g.timed
    choices = {key: _choose(g, key, conditions, timed) for key in g.keys if g.node(key).op.strategies}
    return Plan(conditions, choices)


def _choose(g: Graph, key: str, conditions: Conditions, timed: bool) -> Choice:
    node = g.node(key)
    if node.strategy != "auto":
        return Choice(node.strategy, "the spec asks for it with `execute`")
    candidates = [s for s in node.op.ways(node.params) if not (timed and s == "conv")]
    # A core without a convolution has a system that changes anyway: its kernel takes gaps too.
    natively = native_runs(conditions.device, conditions.dtype, timed and "conv" in node.op.strategies)
    timings = timings_of(node.op)
    predicted = {s: _predict(g, key, s, curve(timings, s, natively), conditions) for s in candidates if s in timings}
    note = "; conv needs one step for all samples, and this model is timed" if timed else ""
    if natively and any(s + NATIVE in timings for s in candidates):
        note += "; recurrent is a native kernel"
    if not predicted:
        return Choice(candidates[0], f"its first strategy; no timings are known{note}")
    best = min(predicted, key=predicted.__getitem__)
    others = ", ".join(f"{s} {ms:.3g} ms" for s, ms in predicted.items() if s != best)
    work = "forward and backward" if conditions.mode == "train" else "forward"
    reason = f"predicted fastest at length {conditions.length}, {work}: {predicted[best]:.3g} ms; {others}{note}"
    return Choice(best, reason, predicted)


def _predict(g: Graph, key: str, strategy: str, timings: Sequence[Timing], conditions: Conditions) -> float:
    """Milliseconds, to three digits."""
    node, inputs, length = g.node(key), g.input_types(key), conditions.length
    training = conditions.mode == "train"
    rows = conditions.batch * node.type.rows
    ms = predict(timings, length, inputs[0].width, rows, training=training)
    ms *= extra_work(node.op, node.params, inputs, length, strategy, training=training)
    return float(f"{ms:.3g}")
