"""`smrdsl ops`: the operators and their manual."""

import json

import pytest

from smrdsl.cli.main import run
from smrdsl.ops.registry import operators
from smrdsl.spec.library import library


def test_every_operator_is_listed_once(capsys):
    assert run(["ops"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    listed = [line.split()[0] for line in out.splitlines() if line.startswith("  ") and line[2] != " "]
    assert sorted(listed) == sorted([*(op.name for op in operators().values() if not op.structural), *library()])
    assert max(map(len, out.splitlines())) <= 80


def test_the_page_of_an_operator(capsys):
    assert run(["ops", "smr"]) == 0
    assert capsys.readouterr().out.startswith(
        "State Memory Replay: the input times a gate of its own recent past.\n"
        "\n"
        "  smr(memory=4, kernel=1, gate=sigmoid2, mix=none, bias=true, init=none,\n"
        "      steps=false)\n"
        "\n"
        "arguments\n"
        "  memory: whole number above 0 (default 4)\n"
        "      Number of inputs remembered, the present one included.\n"
    )


@pytest.mark.parametrize("name", sorted(operators()))
def test_every_operator_has_a_page(name, capsys):
    assert run(["ops", name]) == 0
    out = capsys.readouterr().out
    for argument in operators()[name].params.model_fields:
        assert f"\n  {argument}: " in out
    run(["ops", name, "--json"])
    assert json.loads(capsys.readouterr().out)["name"] == name


@pytest.mark.parametrize("name", sorted(library()))
def test_what_is_in_the_library_is_shown_as_it_is_written(name, capsys):
    assert run(["ops", name]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f'import "{library()[name].file}"\n\n# ')
    assert f"component {name}(" in out
    run(["ops", name, "--json"])
    assert json.loads(capsys.readouterr().out)["signature"].startswith(f"{name}(")


def test_all_as_json(capsys):
    assert run(["ops", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told)[:5] == ["input", "ssm", "mixer", "norm", "act"]
    assert {m["name"] for m in told["input"]} == {"signal", "tokens"}


@pytest.mark.parametrize(("name", "hint"), [("s4e", "did you mean `s4"), ("zzz", "`smrdsl ops` lists them")])
def test_an_unknown_name(name, hint, capsys):
    assert run(["ops", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert hint in err
