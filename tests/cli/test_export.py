"""`smrdsl export`: a folder that other programs read, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import smrdsl
from smrdsl.cli.main import run

SPEC = """import "std/mamba.smr"
model lm(depth = 1) {
  tokens(vocab=5)
  tok: embed(4)
  repeat depth { residual { norm(rms)  mamba(state=2) } }
  norm(rms)
  linear(5, bias=false, tie=tok)
}
model lm_smr extends lm { place smr before ssm }
"""
TO = ["--to", "huggingface"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("lm.smr").write_text(SPEC)


def test_a_folder_with_a_config_and_weights(capsys):
    assert run(["export", "lm.smr", *TO]) == 0
    assert capsys.readouterr() == ("lm: MambaForCausalLM, 244 parameters\n  folder   build/lm-huggingface\n", "")
    place = Path("build/lm-huggingface")
    assert sorted(p.name for p in place.iterdir()) == ["config.json", "model.safetensors"]
    config = json.loads((place / "config.json").read_text())
    assert (config["architectures"], config["hidden_size"], config["tie_word_embeddings"]) == (
        ["MambaForCausalLM"],
        4,
        True,
    )
    assert (place / "model.safetensors").stat().st_mode == (place / "config.json").stat().st_mode
    held = load_file(place / "model.safetensors")
    assert "lm_head.weight" not in held
    model = smrdsl.compile("lm.smr")
    own = [model.get_parameter(f"layers.0.mamba.branch.{i}.linear.weight") for i in (0, 1)]
    assert torch.equal(held["backbone.layers.0.mixer.in_proj.weight"], torch.cat(own))


def test_parameters_weights_and_a_model_are_chosen_as_elsewhere(capsys):
    run(["compile", "lm.smr", "--set", "depth=2", "--seed", "3", "-o", "package", "--quiet"])
    assert run(["export", "lm.smr", *TO, "--set", "depth=2", "--weights", "package", "-o", "out", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made == {"model": "lm", "folder": "out", "architecture": "MambaForCausalLM", "parameters": 464}
    held = load_file("out/model.safetensors")
    assert torch.equal(held["backbone.embeddings.weight"], smrdsl.load("package").get_parameter("tok.weight"))


def test_what_was_exported_before_is_replaced_and_nothing_else(capsys):
    assert run(["export", "lm.smr", *TO, "-o", "out", "--quiet"]) == 0
    before = Path("out/model.safetensors").read_bytes()
    assert run(["export", "lm.smr", *TO, "-o", "out", "--quiet", "--seed", "1"]) == 0
    assert Path("out/model.safetensors").read_bytes() != before
    Path("out/tokenizer.json").write_text("precious")
    assert run(["export", "lm.smr", *TO, "-o", "out", "--quiet"]) == 1
    assert "out is there already and is not what was written so before; name another folder" in capsys.readouterr().err
    assert sorted(p.name for p in Path("out").iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert run(["export", "lm.smr", *TO, "-o", "lm.smr"]) == 1
    assert "lm.smr is a file, not a folder" in capsys.readouterr().err
    assert sorted(p.name for p in Path().iterdir()) == ["lm.smr", "out"]


def test_a_failure_leaves_the_old_folder_and_nothing_beside_it(monkeypatch):
    run(["export", "lm.smr", *TO, "-o", "out", "--quiet"])
    before = Path("out/model.safetensors").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("smrdsl.runtime.checkpoint.save_file", full)
    assert run(["export", "lm.smr", *TO, "-o", "out", "--quiet", "--seed", "1"]) == 1
    assert run(["export", "lm.smr", *TO, "-o", "new", "--quiet"]) == 1
    assert Path("out/model.safetensors").read_bytes() == before
    assert sorted(p.name for p in Path().iterdir()) == ["lm.smr", "out"]


def test_a_model_that_has_no_place_there(capsys):
    assert run(["export", "lm.smr", *TO, "--model", "lm_smr"]) == 1
    told = (
        "error: model lm_smr cannot be one of transformers: lm.smr:9:33: smr (layers.0.mamba.branch.0.smr) has weights"
    )
    assert capsys.readouterr().err.startswith(told)
    assert not Path("build").exists()


def test_the_formats_are_listed(capsys):
    assert run(["export", "lm.smr"]) == 2
    assert "huggingface" in capsys.readouterr().err
    assert run(["export", "lm.smr", "--to", "cobol"]) == 2
    assert "'cobol' is not 'huggingface'" in capsys.readouterr().err


def test_a_compiled_model_writes_itself():
    model = smrdsl.compile("lm.smr")
    model.save("package")
    smrdsl.load("package").save_pretrained("out")
    held = load_file("out/model.safetensors")
    assert torch.equal(held["backbone.norm_f.weight"], model.get_parameter("norm.weight"))
    with pytest.raises(smrdsl.SmrError, match="cannot be one of transformers"):
        smrdsl.compile("lm.smr", "lm_smr").save_pretrained("other")
    with pytest.raises(smrdsl.SmrError, match=r"tok\.weight is on the device meta"):
        smrdsl.compile("lm.smr", device="meta").save_pretrained("other")
    assert not Path("other").exists()
