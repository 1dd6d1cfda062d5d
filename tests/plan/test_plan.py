"""The plan: by measured timings, overruled by the spec, never a strategy that would not be exact."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import pytest

from smrdsl import native
from smrdsl.compiler import lower_source
from smrdsl.core.source import Source
from smrdsl.ops.contract import Timing
from smrdsl.ops.registry import operators
from smrdsl.plan.measured import growth, time_at
from smrdsl.plan.plan import Conditions, Plan, make_plan

CURVE = (Timing(1, 1.0, 2.0), Timing(16, 4.0, 8.0), Timing(256, 16.0, 32.0))


def plan(text: str, **conditions: object) -> Plan:
    return make_plan(lower_source(Source("<text>", text)).graph, Conditions(**conditions))


def test_predictions_are_linear_between_measurements_in_logarithms() -> None:
    same = (1.0, 1.0, 1.0)
    assert time_at(CURVE, 16, same, training=False) == pytest.approx(4.0)
    assert time_at(CURVE, 64, same, training=False) == pytest.approx(8.0)
    assert time_at(CURVE, 64, same, training=True) == pytest.approx(16.0)
    assert time_at(CURVE, 512, same, training=False) == pytest.approx(32.0)
    assert time_at(CURVE, 16, (0.5, 0.5, 1.0), training=False) == pytest.approx(1.0)


def test_time_grows_with_the_powers_that_were_measured() -> None:
    curve = [Timing(64, 8.0, 16.0, batch=(0.5, 1.0), width=(1.0, 0.5), work=(0.0, 0.5))]
    assert time_at(curve, 64, (0.25, 1.0, 9.0), training=False) == pytest.approx(8.0 / 2)
    assert time_at(curve, 64, (1.0, 0.25, 0.25), training=True) == pytest.approx(16.0 / 2 / 2)


@pytest.mark.parametrize("name", [n for n, op in operators().items() if op.strategies])
def test_every_core_declares_what_its_strategies_cost(name: str) -> None:
    timings = operators()[name].timings
    assert {strategy.partition("+")[0] for strategy in timings} == set(operators()[name].strategies)
    assert set(timings) >= set(operators()[name].strategies)
    for curve in timings.values():
        assert [t.length for t in curve] == sorted({t.length for t in curve})
        assert all(t.training >= t.forward > 0 for t in curve)


@pytest.mark.parametrize("length", [1, 64, 4096, 100_000])
def test_the_choice_is_what_is_predicted_fastest_and_says_why(length: int) -> None:
    choice = plan("model m { signal(channels=64) s4d }", length=length).choices["s4d"]
    assert set(choice.predicted) == {"conv", "scan", "recurrent"}
    assert choice.strategy == min(choice.predicted, key=lambda s: choice.predicted[s])
    assert f"length {length}, batch 1, forward and backward" in choice.reason


def test_a_native_kernel_has_timings_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "model m { signal(channels=64) s4d }"
    monkeypatch.setattr(native, "available", lambda: True)
    choice = plan(text, length=4096).choices["s4d"]
    assert choice.strategy == "recurrent"
    assert "recurrent is a native kernel" in choice.reason
    for conditions in ({"device": "cuda"}, {"dtype": "float64"}):
        assert plan(text, length=4096, **conditions).choices["s4d"].strategy in ("conv", "scan")
    monkeypatch.setattr(native, "available", lambda: False)
    choice = plan(text, length=4096).choices["s4d"]
    assert choice.strategy in ("conv", "scan")
    assert "native" not in choice.reason


def test_a_larger_state_is_more_work_but_not_for_a_kept_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "available", lambda: True)

    def predicted(state: int, mode: str) -> Mapping[str, float]:
        text = f"model m {{ signal(channels=256) s4d(state={state}) }}"
        return plan(text, length=1024, batch=4, mode=mode).choices["s4d"].predicted

    usual, large = predicted(64, "infer"), predicted(256, "infer")
    assert large["conv"] < 1.5 * usual["conv"]
    assert large["recurrent"] > 1.5 * usual["recurrent"]
    assert predicted(256, "train")["conv"] > 1.5 * predicted(64, "train")["conv"]


@pytest.mark.parametrize("core", ["s5", "lru"])
def test_where_all_channels_share_a_system_a_larger_state_is_more_work_for_every_strategy(core: str) -> None:
    def predicted(state: int) -> Mapping[str, float]:
        text = f"model m {{ signal(channels=256) {core}(state={state}) }}"
        return plan(text, length=1024, batch=4, mode="infer").choices[core].predicted

    usual, large = predicted(64), predicted(512)
    assert all(large[strategy] > 1.2 * usual[strategy] for strategy in ("conv", "scan"))


def test_from_a_state_on_no_kernel_is_kept() -> None:
    text = "model m { signal(channels=256) s4d }"
    times = {mode: plan(text, length=1024, batch=4, mode=mode).choices["s4d"].predicted for mode in ("infer", "decode")}
    assert times["decode"]["conv"] > 1.2 * times["infer"]["conv"]


def test_with_gaps_a_bank_takes_its_times_one_by_one() -> None:
    plain, timed = (
        plan(f"model m {{ signal(channels=64{more}) s4d }}", length=256).choices["s4d"] for more in ("", ", timed=true")
    )
    assert timed.predicted["scan"] > 3 * plain.predicted["scan"]
    assert timed.strategy == min(timed.predicted, key=timed.predicted.__getitem__)


def test_threads_share_numbers_but_not_the_calls_of_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "available", lambda: False)
    text = "model m { signal(channels=256) s4d }"
    one, two = (plan(text, length=1024, batch=4, threads=n).choices["s4d"].predicted for n in (1, 2))
    assert one["conv"] / 2 <= two["conv"] < 0.6 * one["conv"]
    assert two["recurrent"] == one["recurrent"]


@pytest.mark.parametrize(
    ("core", "triton", "chosen"), [("s4d", True, "conv"), ("s6", False, "scan"), ("s6", True, "recurrent")]
)
def test_on_another_device_the_choice_is_by_a_rule_that_says_so(
    monkeypatch: pytest.MonkeyPatch, core: str, triton: bool, chosen: str
) -> None:
    monkeypatch.setattr(native, "gpu_available", lambda: triton)
    choice = plan(f"model m {{ signal(channels=64) {core} }}", length=4096, device="cuda:0").choices[core]
    assert choice.strategy == chosen
    assert "nothing was measured on cuda:0" in choice.reason
    assert not choice.predicted


def test_execute_overrules_the_plan() -> None:
    text = "model m { signal(channels=4) s4d(state=2) s4(state=2) execute s4d as scan }"
    choices = plan(text, length=4096).choices
    assert choices["s4d"].strategy == "scan"
    assert "execute" in choices["s4d"].reason


def test_a_timed_model_is_never_a_convolution() -> None:
    choice = plan("model m { signal(channels=4, timed=true) s4d(state=2) }", length=4096).choices["s4d"]
    assert choice.strategy != "conv"
    assert "timed" in choice.reason


def test_native_kernels_of_some_cores_take_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "available", lambda: True)
    for core, runs in (("s6", True), ("s4d", True), ("s4", False)):
        choice = plan(f"model m {{ signal(channels=64, timed=true) {core} }}", length=4096).choices[core]
        assert ("recurrent is a native kernel" in choice.reason) == runs


def test_a_plan_is_plain_data() -> None:
    data = plan("model m { signal(channels=4) s4d(state=2) }").as_dict()
    assert data["conditions"]["length"] == 1024
    assert set(data["choices"]["s4d"]) == {"strategy", "reason", "predicted", "memory"}
    assert json.loads(json.dumps(data))["choices"] == data["choices"]


def test_beyond_what_was_measured_the_part_that_grows_is_what_counts() -> None:
    """60 that stay and 40 that grow take 70 at a quarter, and 220 at four times the size."""
    power = math.log(100 / 70, 4)
    assert growth(0.25, power) == pytest.approx(0.7)
    assert growth(1.0, power) == 1.0
    assert growth(4.0, power) == pytest.approx(2.2)
    assert growth(4.0, 0.0) == 1.0
    assert growth(4.0, 1.0) == 4.0
