"""`smrdsl explain`: passes and executions, and why."""

import json
from pathlib import Path

import pytest

from smrdsl.cli.main import run
from smrdsl.graph.graph import Graph
from smrdsl.graph.show import from_json, show
from smrdsl.passes.contract import Pass
from smrdsl.passes.drop_skip import DropSkip

SPEC = """model m {
  signal(channels=4)
  repeat 3 { skip  s4d(state=8) }
  s4(state=4)
  execute s4 as scan
}
"""


@pytest.fixture(autouse=True)
def spec(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("spec.smr").write_text(SPEC, encoding="utf-8")


def test_the_note_of_an_engineer(capsys):
    assert run(["explain", "spec.smr", "--length", "4096", "--batch", "2"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "m: length 4,096, batch 2, infer, float32 on cpu" in out
    assert "  drop-skip: 3 fewer operations (" in out
    assert "  dead-code: found nothing to do (" in out
    assert "s4d(state=8), layers.0.s4d to layers.2.s4d, 3 of them, spec.smr:3:20" in out
    assert "scan: the spec asks for it with `execute`" in out
    assert " chosen" in out
    assert " times that" in out
    assert "at length " in out


def test_as_json(capsys):
    assert run(["explain", "spec.smr", "--json", "--length", "64"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["conditions"]["length"] == 64
    assert told["passes"][0]["name"] == "drop-skip"
    assert told["passes"][0]["nodes"] == [8, 5]
    choice = told["choices"]["layers.0.s4d"]
    assert min(choice["predicted"], key=choice["predicted"].get) == choice["strategy"]
    assert all(turn["strategy"] != choice["strategy"] for turn in told["turns"]["layers.0.s4d"])


def test_where_a_choice_turns_is_where_the_plan_turns(capsys):
    run(["explain", "spec.smr", "--json", "--length", "1024"])
    turned = json.loads(capsys.readouterr().out)["turns"]["layers.0.s4d"]
    for turn in turned:
        if not turn["condition"].startswith("length"):
            continue
        length = int(turn["condition"].split()[1].replace(",", ""))
        run(["explain", "spec.smr", "--json", "--length", str(length)])
        assert json.loads(capsys.readouterr().out)["choices"]["layers.0.s4d"]["strategy"] == turn["strategy"]


def test_nothing_to_choose(capsys):
    Path("plain.smr").write_text("model m { signal(channels=4)  gelu }", encoding="utf-8")
    assert run(["explain", "plain.smr"]) == 0
    assert "nothing here can be executed in more than one way" in capsys.readouterr().out
    assert run(["explain", "plain.smr", "--disable", "nope"]) == 2


def test_a_pass_that_fails_leaves_what_shows_it_again(monkeypatch, capsys):
    def broken(self: Pass, g: Graph) -> Graph:
        raise KeyError("oops")

    monkeypatch.setattr(DropSkip, "run", broken)
    assert run(["explain", "spec.smr"]) == 3
    err = capsys.readouterr().err
    assert "the pass drop-skip failed: KeyError: 'oops'" in err
    (path,) = [word.rstrip(",") for word in err.split() if "smrdsl-drop-skip-" in word]
    left = json.loads(Path(path).read_text(encoding="utf-8"))
    Path(path).unlink()
    assert left["pass"] == "drop-skip"
    monkeypatch.undo()
    assert " = skip()" in show(from_json(json.dumps(left["graph"])))
