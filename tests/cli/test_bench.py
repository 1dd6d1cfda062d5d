"""`smrdsl bench`: measured beside predicted."""

import json
from pathlib import Path

import pytest
import torch

from smrdsl.cli import bench
from smrdsl.cli.main import run
from smrdsl.runtime.timing import medians

SPEC = """model m {
  signal(channels=4)
  repeat 2 { s4d(state=4) }
  s4(state=4)
  execute s4 as scan
}
"""


@pytest.fixture(autouse=True)
def spec(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "SECONDS", 0.01)
    Path("spec.smr").write_text(SPEC, encoding="utf-8")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_every_strategy_is_measured_once_for_cores_that_are_alike(mode, capsys):
    assert run(["bench", "spec.smr", "--length", "16", "--batch", "2", "--mode", mode, "--threads", "1"]) == 0
    out, _ = capsys.readouterr()
    assert "m: length 16, batch 2, forward" in out
    assert ("backward" in out) == (mode == "train")
    assert "s4d(state=4), layers.0.s4d to layers.1.s4d, 2 of them" in out
    assert [out.count(f"\n  {s} ") for s in ("conv", "scan", "recurrent")] == [1, 1, 1]
    assert out.count("   chosen") == 1
    assert "the whole model: " in out
    assert "1 kinds of core" in out or "of 1 kinds of core" in out


def test_as_json(capsys):
    assert run(["bench", "spec.smr", "--length", "16", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (core,) = told["cores"]
    assert core["nodes"] == ["layers.0.s4d", "layers.1.s4d"]
    assert core["measured"].keys() == core["predicted"].keys()
    assert core["regret"] == core["measured"][core["chosen"]] / min(core["measured"].values())
    assert told["milliseconds"] > 0


def test_a_model_of_pairs(capsys):
    text = "tokens(vocab=5, pair=true)  embed(4)  s4d(state=4)  pool  match"
    Path("pair.smr").write_text(f"model m {{ {text} }}", encoding="utf-8")
    assert run(["bench", "pair.smr", "--length", "8", "--batch", "2"]) == 0
    assert "the whole model: " in capsys.readouterr().out


def test_what_takes_longer_is_found_to_take_longer():
    matrix = torch.randn(300, 300)
    found = medians({"once": lambda: matrix @ matrix, "often": lambda: [matrix @ matrix for _ in range(20)]}, 0.1)
    assert found["often"] > 5 * found["once"]
