"""The plan: by measured timings, overruled by the spec, never a strategy that would not be exact."""

from __future__ import annotations

import pytest

from smrdsl.compiler import lower_source
from smrdsl.core.source import Source
from smrdsl.ops.contract import Timing
from smrdsl.ops.registry import operators
from smrdsl.plan.measured import predict
from smrdsl.plan.plan import Conditions, Plan, make_plan

CURVE = (Timing(1, 1.0, 2.0), Timing(16, 4.0, 8.0), Timing(256, 16.0, 32.0))


def plan(text: str, **conditions: object) -> Plan:
    return make_plan(lower_source(Source("<text>", text)).graph, Conditions(**conditions))


def test_predictions_are_linear_between_measurements_in_logarithms() -> None:
    assert predict(CURVE, 16, 256, 4, training=False) == pytest.approx(4.0)
    assert predict(CURVE, 64, 256, 4, training=False) == pytest.approx(8.0)
    assert predict(CURVE, 64, 256, 4, training=True) == pytest.approx(16.0)
    assert predict(CURVE, 512, 256, 4, training=False) == pytest.approx(32.0)
    assert predict(CURVE, 16, 128, 2, training=False) == pytest.approx(1.0)


@pytest.mark.parametrize("name", [n for n, op in operators().items() if op.strategies])
def test_every_core_declares_what_its_strategies_cost(name: str) -> None:
    timings = operators()[name].timings
    assert set(timings) == set(operators()[name].strategies)
    for curve in timings.values():
        assert [t.length for t in curve] == sorted({t.length for t in curve})
        assert all(t.training > t.forward > 0 for t in curve)


def test_the_choice_follows_the_length_and_says_why() -> None:
    text = "model m { signal(channels=64) s4d }"
    short, long = plan(text, length=1, mode="decode"), plan(text, length=4096)
    assert short.choices["s4d"].strategy == "recurrent"
    assert long.choices["s4d"].strategy in ("conv", "scan")
    assert "length 4096, forward and backward" in long.choices["s4d"].reason
    assert set(long.choices["s4d"].predicted) == {"conv", "scan", "recurrent"}


def test_execute_overrules_the_plan() -> None:
    text = "model m { signal(channels=4) s4d(state=2) s4(state=2) execute s4d as scan }"
    choices = plan(text, length=4096).choices
    assert choices["s4d"].strategy == "scan"
    assert "execute" in choices["s4d"].reason


def test_a_timed_model_is_never_a_convolution() -> None:
    choice = plan("model m { signal(channels=4, timed=true) s4d(state=2) }", length=4096).choices["s4d"]
    assert choice.strategy != "conv"
    assert "timed" in choice.reason


def test_a_plan_is_plain_data() -> None:
    data = plan("model m { signal(channels=4) s4d(state=2) }").as_dict()
    assert data["conditions"]["length"] == 1024
    assert set(data["choices"]["s4d"]) == {"strategy", "reason", "predicted"}
