"""`smrdsl new`: a spec to start from, that has no mistakes and overwrites nothing."""

from pathlib import Path

import pytest

from smrdsl.cli.main import run
from smrdsl.core.errors import Report
from smrdsl.core.source import Source
from smrdsl.graph.build import build
from smrdsl.spec.resolve import Resolver
from smrdsl.syntax.format import format_text


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def graph(text: str, name: str):
    resolver = Resolver(Source("new.smr", text))
    assert resolver.load()
    model = resolver.model(name)
    assert not resolver.report.diagnostics
    return build(model)


def test_a_model_and_its_twin(capsys):
    assert run(["new", "mine"]) == 0
    assert capsys.readouterr() == ("mine.smr\n", "")
    text = Path("mine.smr").read_text(encoding="utf-8")
    mine, twin = (graph(text, name) for name in ("mine", "mine_baseline"))
    assert set(mine.keys) - set(twin.keys) == {f"layers.{i}.smr" for i in range(4)}
    assert set(twin.keys) < set(mine.keys)


def test_it_is_written_in_the_one_style(capsys):
    run(["new", "mine", "-o", "-"])
    text = capsys.readouterr().out
    assert format_text(Source("new.smr", text), Report()) == text
    assert not Path("mine.smr").exists()


def test_nothing_is_overwritten(capsys):
    Path("mine.smr").write_text("precious")
    assert run(["new", "mine"]) == 2
    assert "mine.smr exists already; name another file with -o" in capsys.readouterr().err
    assert Path("mine.smr").read_text() == "precious"
    assert run(["new", "mine", "-o", "other.smr"]) == 0
    assert Path("other.smr").exists()


def test_a_link_to_nowhere_is_not_followed(capsys):
    Path("mine.smr").symlink_to("elsewhere.smr")
    assert run(["new", "mine"]) == 2
    assert not Path("elsewhere.smr").exists()


@pytest.mark.parametrize("name", ["3d", "a-b", "", "../x", "naïve", "repeat", "class", "true"])
def test_names_that_no_model_can_have(name, capsys):
    assert run(["new", name]) == 2
    assert f"`{name}` cannot name a model" in capsys.readouterr().err
    assert not list(Path().iterdir())
