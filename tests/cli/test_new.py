"""`smrdsl new`: a spec to start from, that has no mistakes and overwrites nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

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


# --- the spec of a checkpoint

CONFIG = {
    "model_type": "mamba", "hidden_size": 8, "num_hidden_layers": 2, "vocab_size": 5, "state_size": 3,
    "use_bias": False, "use_conv_bias": True, "tie_word_embeddings": True,
}  # fmt: skip


def checkpoint(**keys: object) -> None:
    Path("ck").mkdir(exist_ok=True)
    Path("ck/config.json").write_text(json.dumps(CONFIG | keys), encoding="utf-8")


def test_the_spec_of_a_checkpoint_and_its_twin(capsys):
    checkpoint()
    assert run(["new", "mine", "--from", "ck"]) == 0
    assert capsys.readouterr() == ("mine.smr\n", "")
    text = Path("mine.smr").read_text(encoding="utf-8")
    assert "smrdsl compile mine.smr --weights ck\n" in text
    mine, twin = (graph(text, name) for name in ("mine", "mine_smr"))
    assert [mine.node(k).params.state for k in mine.keys if mine.node(k).op.name == "s6"] == [3, 3]
    assert len(twin) == len(mine) + 2
    assert format_text(Source("new.smr", text), Report()) == text


def test_a_config_that_says_all_needs_no_torch():
    checkpoint()
    code = (
        "import sys; from smrdsl.cli.main import run; run(['new', 'm', '--from', 'ck']); print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True, text=True, check=True)
    assert told.stdout == "m.smr\nFalse\n"


def test_a_silent_config_is_completed_by_the_weights_beside_it():
    checkpoint(use_bias=None)
    run(["new", "plain", "--from", "ck"])
    save_file({"backbone.layers.0.mixer.in_proj.bias": torch.ones(32)}, "ck/model.safetensors")
    run(["new", "biased", "--from", "ck"])
    assert "bias=false, conv_bias=true" in Path("plain.smr").read_text()
    assert "bias=true, conv_bias=true" in Path("biased.smr").read_text()


@pytest.mark.parametrize(
    ("source", "keys", "told"),
    [
        ("ck", {"hidden_act": "gelu"}, 'error: ck/config.json: `hidden_act` is "gelu"; only silu is known'),
        ("ck", {"model_type": "gpt2"}, 'error: ck/config.json: `model_type` is "gpt2"; known are mamba, mamba2'),
        ("elsewhere", {}, "error: there is no config.json in elsewhere, which is to say what model the weights are of"),
    ],
)
def test_a_checkpoint_that_no_spec_describes(source, keys, told, capsys):
    checkpoint(**keys)
    assert run(["new", "mine", "--from", source]) == 1
    assert capsys.readouterr().err == f"{told}\n"
    assert not Path("mine.smr").exists()


def test_a_checkpoint_gets_a_name_as_any_model(capsys):
    checkpoint()
    for name in ("a-b", "repeat", "class"):
        assert run(["new", name, "--from", "ck"]) == 2
        assert f"`{name}` cannot name a model" in capsys.readouterr().err
    for name in ("mamba", "tok", "width", "std", "linear"):
        assert run(["new", name, "--from", "ck", "-o", "-"]) == 0
        assert graph(capsys.readouterr().out, name).name == name


def test_a_config_of_a_model_that_cannot_be(capsys):
    checkpoint(model_type="mamba2", hidden_size=4, num_heads=2, head_dim=4, n_groups=3)
    assert run(["new", "mine", "--from", "ck"]) == 1
    told = "error: ck/config.json describes a model that cannot be: ssd_scan: 3 groups do not share 2 heads"
    assert capsys.readouterr().err.startswith(told)
