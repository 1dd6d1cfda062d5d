"""Timings of the user's machine: kept, read back, and never trusted blindly."""

import json

import pytest

import smrdsl
from smrdsl.cli.main import run
from smrdsl.ops.contract import Timing
from smrdsl.ops.registry import operators
from smrdsl.plan import calibration as kept
from smrdsl.plan.measured import NATIVE

FAST, SLOW = (Timing(1, 0.1, 0.2), Timing(4096, 1.0, 2.0)), (Timing(1, 10.0, 20.0), Timing(4096, 100.0, 200.0))
TEXT = "model m { signal(channels=8)  s4d }"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(kept.FOLDER, str(tmp_path))
    kept.calibration.cache_clear()
    yield tmp_path
    kept.calibration.cache_clear()


def chosen(length: int = 256) -> str:
    return smrdsl.compile_text(TEXT, length=length).plan.choices["s4d"].strategy


@pytest.mark.parametrize("best", ["conv", "scan", "recurrent"])
def test_plans_choose_by_what_is_kept(best):
    table = {s: FAST if s == best else SLOW for s in ("conv", "scan", "recurrent", f"recurrent{NATIVE}")}
    table[f"recurrent{NATIVE}"] = table["recurrent"]
    kept.write({"s4d": table}, "2026-01-01")
    assert chosen() == best
    assert kept.calibration().told == "measured on this machine, 2026-01-01"


def test_what_was_not_measured_is_as_declared():
    kept.write({"s4d": {"conv": FAST}}, "2026-01-01")
    s4, s4d = operators()["s4"], operators()["s4d"]
    assert kept.timings_of(s4) == s4.timings
    assert kept.timings_of(s4d) == {**s4d.timings, "conv": FAST}


def test_without_a_file_timings_are_as_shipped():
    assert kept.calibration() == kept.Calibration({}, "as shipped; `smrdsl calibrate` measures this machine")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: "{}",
        lambda text: text.replace('"forward": 0.1', '"forward": -1'),
        lambda text: text.replace('"forward": 0.1', '"forward": "a"'),
        lambda text: text.replace('"length": 4096', '"length": 1'),
        lambda text: text.replace('"forward": 0.1', '"forward": NaN'),
        lambda text: text.replace('"timings": {', '"timings": 3, "old": {'),
        lambda text: text + " " * kept.MOST,
    ],
)
def test_a_file_that_cannot_be_used_is_told_and_left_alone(spoil):
    file = kept.write({"s4d": {"conv": FAST}}, "2026-01-01")
    file.write_text(spoil(file.read_text()))
    kept.calibration.cache_clear()
    found = kept.calibration()
    assert found.tables == {}
    assert f"{file} cannot be used" in found.told
    assert chosen() in ("conv", "scan", "recurrent")


def test_a_file_of_another_machine_is_told_and_left_alone():
    file = kept.write({"s4d": {"conv": FAST}}, "2026-01-01")
    held = json.loads(file.read_text())
    held["machine"]["processor"] = "another"
    file.write_text(json.dumps(held))
    kept.calibration.cache_clear()
    assert "of another machine or version" in kept.calibration().told


def test_a_folder_that_cannot_be_written(folder, monkeypatch, capsys):
    (folder / "file").touch()
    monkeypatch.setenv(kept.FOLDER, str(folder / "file" / "x"))
    monkeypatch.setattr("smrdsl.cli.calibrate._measure", lambda console: {"s4d": {"conv": FAST}})
    assert run(["calibrate"]) == 1
    assert "error: " in capsys.readouterr().err


def test_times_grow_with_the_powers_that_were_found():
    from smrdsl.runtime.calibrate import QUARTER, Way, _power

    way = Way("conv")
    found = {(way, False): 8.0, (Way("conv", batch=QUARTER), False): 4.0, (Way("conv", width=QUARTER), False): 2.0}
    assert _power(found, way, "batch", QUARTER, False) == 0.5
    assert _power(found, way, "width", QUARTER, False) == 1.0


def test_the_command(monkeypatch, capsys):
    from smrdsl.runtime import calibrate, timing

    monkeypatch.setattr(calibrate, "LENGTHS", (1, 4))
    monkeypatch.setattr(calibrate, "SECONDS", 0.0)
    monkeypatch.setattr(timing, "LEAST_RUNS", 1)
    monkeypatch.setattr(calibrate, "cores", lambda: [operators()[n] for n in ("s4d", "ssd_scan")])
    assert run(["calibrate"]) == 0
    assert "measured 2 cores" in capsys.readouterr().out
    tables = kept.calibration().tables
    assert tables.keys() == {"s4d", "ssd_scan"}
    ways = {s.replace(NATIVE, "") for s in tables["s4d"]}
    states = {"conv+state", "scan+state", "recurrent+state"}
    assert ways == {"conv", "scan", "recurrent", "scan+timed", "recurrent+timed", *states}
    lengths = [[t.length for t in rows] for table in tables.values() for rows in table.values()]
    assert {tuple(found) for found in lengths} <= {(1,), (1, 4)}  # a slow way is not measured again
    assert run(["calibrate", "--show"]) == 0
    assert "measured on this machine" in capsys.readouterr().out
