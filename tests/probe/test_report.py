"""The page, the JSON and the command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

import smrdsl
from smrdsl.cli.main import run
from smrdsl.core.errors import SmrError, SpecError
from smrdsl.probe.fit import Recipe
from smrdsl.probe.result import Result, made_folder
from smrdsl.probe.run import lab_of
from smrdsl.probe.subject import HOST, subject_of, trained_weights
from tests.probe.models import host

PARTS = ("stability", "nss", "sampling", "volterra", "insert")
TINY = Recipe(steps=3, batch=3, length=32)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Result:
    file = tmp_path_factory.mktemp("probe") / "m&m.smr"
    file.write_text(host(), encoding="utf-8")
    shares: list[float] = []
    found = smrdsl.probe(file, quick=True, recipe=TINY, tell=lambda doing, share: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    return found


def test_the_page_holds_every_part_and_loads_nothing(whole: Result) -> None:
    page = whole.page()
    assert page.count("<h2>") == len(PARTS)
    assert page.count("<svg") == 6
    assert "m&amp;m.smr" in page
    assert not re.search(r"<script|<link|<img|src=|url\(http|@import", page)
    assert page.index('<p class="short">Its cores are stable') < page.index("<h2>")
    assert 'name="viewport"' in page
    listed = page.partition("<pre>")[2].partition("</pre>")[0]
    assert [line.partition("  ")[0] for line in listed.splitlines()] == ["host", "smr", "control", "smr steps"]


def test_all_that_the_page_says_is_in_the_numbers(whole: Result) -> None:
    data = json.loads(whole.as_json())
    assert {*PARTS, "about"} == data.keys()
    assert data["about"]["variants"] == ["host", "smr", "control"]
    assert len(data["nss"]["growths"]) == 15
    assert {s["grid"] for s in data["sampling"]["scores"]} >= {"clean", "jitter=0.3", "co2"}


def test_every_key_of_the_numbers_is_documented(whole: Result) -> None:
    page = Path(__file__).parents[2].joinpath("docs", "probe.md").read_text(encoding="utf-8")
    documented = page.partition("## The numbers")[2].partition("## The mathematics")[0]

    def keys(value: object) -> set[str]:
        match value:
            case {"recipe": dict(recipe), **rest}:
                return {*recipe, "recipe"} | keys(rest)
            case dict():
                own = {k for k in value if k not in {*whole.about.variants}}
                return own.union(*(keys(v) for k, v in value.items() if k != "edits"))
            case [first, *_]:
                return keys(first)
        return set()

    assert {k for k in keys(json.loads(whole.as_json())) if f"`{k}`" not in documented} == set()


def test_numbers_that_are_not_finite_are_null_in_json(whole: Result) -> None:
    from smrdsl.probe.result import _finite

    assert _finite({"a": [float("inf"), float("nan"), 1.0]}) == {"a": [None, None, 1.0]}


def test_one_part_is_one_part(tmp_path: Path) -> None:
    file = tmp_path / "m.smr"
    file.write_text(host(), encoding="utf-8")
    found = smrdsl.probe(str(file), "stability", recipe=TINY)
    assert found.stability is not None
    assert found.nss is found.sampling is found.volterra is found.insert is None
    assert found.page().count("<h2>") == 1


def test_weights_are_probed_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "m.smr"
    file.write_text(host(), encoding="utf-8")
    smrdsl.compile(file, seed=5).save(tmp_path / "package")
    found = smrdsl.probe(file, "sampling", weights=tmp_path / "package", recipe=TINY)
    assert found.sampling is not None
    assert not found.sampling.scored
    assert "what they were trained on is not known" in found.page()
    told = smrdsl.probe(file, "insert", weights=tmp_path / "package", task="next", recipe=TINY)
    assert told.insert is not None
    assert told.insert.seeds == 1
    assert told.insert.insertions[0].exact
    assert told.insert.insertions[0].ratio == 1.0


def test_weights_are_found_in_the_folder_of_a_training_and_checked(tmp_path: Path) -> None:
    file, run_ = tmp_path / "m.smr", tmp_path / "run"
    file.write_text(host(), encoding="utf-8")
    model = smrdsl.compile(file, seed=5)
    model.save(run_ / "model")
    lab = lab_of(subject_of(file, weights=run_), None, 1, False, TINY, lambda doing, share: None)
    found = lab.trained(HOST, 0).blind.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())
    with pytest.raises(SmrError, match=r"last.ckpt is what a training goes on from; its best weights are in .*run"):
        trained_weights(subject_of(file, weights=run_ / "checkpoints" / "last.ckpt"))
    with torch.no_grad():
        model.get_parameter("layers.1.s4d.D")[0] = float("nan")
    with pytest.raises(SmrError, match=r"not finite, in layers.1.s4d.D: there is nothing to probe"):
        trained_weights(subject_of(model))


def test_a_folder_with_something_else_in_it_is_left_alone(whole: Result, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.html").write_text("mine", encoding="utf-8")
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    refused = {"mine": "is not what was written so before", "file": "is a file", "file/in": "cannot write"}
    for name, says in refused.items():
        with pytest.raises(SpecError, match=says):
            whole.save(tmp_path / name)
    assert (tmp_path / "mine" / "report.html").read_text(encoding="utf-8") == "mine"


def test_the_folder_of_an_earlier_probe_is_written_again(tmp_path: Path) -> None:
    place = made_folder(tmp_path / "deep" / "own")
    for name in ("probe.json", "report.html", "notes"):
        (place / name).write_text("{}", encoding="utf-8")
    assert made_folder(place) == place
    assert sorted(p.name for p in place.iterdir()) == ["notes", "probe.json", "report.html"]


# --- the command


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("m.smr").write_text(host(), encoding="utf-8")
    return "m.smr"


def test_the_command_writes_page_and_numbers_and_says_what_they_say(spec: str, capsys) -> None:
    assert run(["probe", spec, "--part", "insert", "--quick", "--steps", "2"]) == 0
    out, _ = capsys.readouterr()
    assert "changes no bit of any output with these gates: sigmoid2, tanh1" in out
    assert Path("build/probe/m/report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert json.loads(Path("build/probe/m/probe.json").read_text(encoding="utf-8"))["insert"]["trained"]


def test_json_goes_to_standard_output_and_nothing_is_written(spec: str, capsys) -> None:
    assert run(["probe", spec, "--part", "nss", "--quick", "--steps", "2", "--json"]) == 0
    out, _ = capsys.readouterr()
    assert json.loads(out)["about"]["recipe"]["steps"] == 2
    assert not Path("build").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--train-grid", "jiter=1"], 1, "did you mean `jitter`"),
        (["--part", "speed"], 2, "'speed' is not one of"),
        (["--set", "width=3"], 1, "no parameter `width`"),
        (["--weights", "nowhere.safetensors", "--part", "stability"], 1, "nowhere.safetensors"),
        (["--out", "m.smr"], 1, "is a file, not a folder"),
        (["--lr", "nan"], 1, "the learning rate is nan"),
        (["--batch", "10000000"], 2, "1<=x<=4096"),
        (["--task", "mg", "--length", "512"], 1, "--length is at most 256"),
    ],
)
def test_mistakes_are_told_in_a_line(spec: str, capsys, arguments: list[str], code: int, says: str) -> None:
    assert run(["probe", spec, *arguments]) == code
    _, err = capsys.readouterr()
    assert says in err
    assert "Traceback" not in err


def test_the_command_knows_the_parts_and_tasks_without_importing_them() -> None:
    from smrdsl.cli import probe as command
    from smrdsl.data.signals import TASKS
    from smrdsl.probe import run as room

    assert command.PARTS == room.PARTS
    assert tuple(TASKS) == command.TASKS


def test_a_loss_that_is_no_number_is_told_with_its_step(spec: str, capsys) -> None:
    Path("wild.smr").write_text(host().replace("gelu", "affine(scale=1e38) affine(scale=1e38) gelu"), encoding="utf-8")
    code = run(["probe", "wild.smr", "--part", "stability", "--quick"])
    _, err = capsys.readouterr()
    assert code == 1
    assert "the loss is" in err
    assert "at step 1: wild.smr:4:" in err
    assert "affine(scale=1e38) (layers.0.affine) is the first whose output is not finite" in err
