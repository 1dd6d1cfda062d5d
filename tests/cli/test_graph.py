"""`smrdsl graph`: a picture where it was asked for, and clear words where there is none."""

import io
import sys
from pathlib import Path

import pytest

from smrdsl.cli.main import run

SPEC = """
model one { signal(channels=4) linear(8) repeat 3 { gelu } }
model two(width = 2) { signal(channels=1) linear(width) }
"""


@pytest.fixture
def spec(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("spec.smr").write_text(SPEC)
    return "spec.smr"


def test_the_default_is_the_models_name(spec, capsys):
    pytest.importorskip("pygraphviz")
    assert run(["graph", spec]) == 0
    assert capsys.readouterr() == ("one.svg\n", "")
    assert Path("one.svg").read_text().startswith("<?xml")


def test_model_settings_level_and_form(spec, capsys):
    assert run(["graph", spec, "--model", "two", "--set", "width=33", "-o", "picture.dot"]) == 0
    assert "width = 33" in Path("picture.dot").read_text()
    assert run(["graph", spec, "--level", "block", "-o", "picture.mmd"]) == 0
    assert "layers.0-2 × 3" in Path("picture.mmd").read_text(encoding="utf-8")
    assert capsys.readouterr() == ("picture.dot\npicture.mmd\n", "")


def test_standard_input(spec, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SPEC.encode())))
    assert run(["graph", "-", "-o", "picture.json"]) == 0
    assert '"name": "one"' in Path("picture.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["graph"], 2, "Missing argument 'FILE'"),
        (["graph", "spec.smr", "-o", "picture.gif"], 2, "the ending says which picture is wanted"),
        (["graph", "spec.smr", "--level", "fx"], 2, "'fx' is not one of 'op', 'block'"),
        (["graph", "spec.smr", "--model", "thre"], 1, "no model `thre` in this file"),
        (["graph", "none.smr"], 1, "cannot read none.smr"),
        (["graph", "spec.smr", "-o", "none/picture.dot"], 1, "No such file or directory"),
        (["graph", "spec.smr", "-o", "folder.dot"], 1, "Is a directory"),
    ],
)
def test_what_goes_wrong_is_told(spec, arguments, code, message, capsys):
    Path("folder.dot").mkdir()
    assert run(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert sorted(p.name for p in Path().iterdir()) == ["folder.dot", "spec.smr"]


def test_a_spec_with_mistakes_has_no_picture(spec, capsys):
    Path(spec).write_text("model m { signal(channels=1) liner(3) }")
    assert run(["graph", spec]) == 1
    assert "spec.smr:1:30: error E0202: unknown operator `liner`, did you mean `linear`?" in capsys.readouterr().err
    assert not Path("m.svg").exists()
