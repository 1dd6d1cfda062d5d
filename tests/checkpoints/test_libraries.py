"""Weights from and to the libraries themselves: transformers and mambapy compute what we compute.

Importing transformers takes seconds, so that all that needs it is here. Nothing reads the network.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import smrdsl
from smrdsl.cli.main import run
from smrdsl.cli.new import checkpoint_text
from smrdsl.runtime.model import CompiledModel
from tests.checkpoints.tiny import TOKENS, compiled

os.environ["HF_HUB_OFFLINE"] = "1"
pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, of kernels that are not installed

VOCAB = 11
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4, "vocab_size": VOCAB}
MAMBA2 = SMALL | {"num_heads": 4, "head_dim": 8, "chunk_size": 4}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "mamba": ("Mamba", SMALL),
    "mamba options": ("Mamba", SMALL | {
        "use_bias": True, "use_conv_bias": False, "tie_word_embeddings": False, "time_step_rank": 3, "expand": 3,
        "conv_kernel": 2, "layer_norm_epsilon": 1e-3,
    }),
    "mamba2": ("Mamba2", MAMBA2 | {"n_groups": 2}),
    "mamba2 options": ("Mamba2", MAMBA2 | {
        "n_groups": 1, "use_bias": True, "use_conv_bias": False, "tie_word_embeddings": True,
        "time_step_limit": (0.01, 0.5), "layer_norm_epsilon": 1e-3, "conv_kernel": 2,
    }),
}  # fmt: skip


@pytest.fixture(scope="module")
def transformers() -> Iterator[Any]:
    """The library; what it adds to torch's own classes goes with it."""
    before = dir(nn.Module)
    yield pytest.importorskip("transformers")
    for name in set(dir(nn.Module)) - set(before):
        delattr(nn.Module, name)


def noisy(module: nn.Module) -> nn.Module:
    """The module with all of its weights moved off their initial values."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return module.eval()


def theirs(transformers: Any, name: str) -> nn.Module:
    kind, options = MODELS[name]
    config = getattr(transformers, f"{kind}Config")(**options)
    return noisy(getattr(transformers, f"{kind}ForCausalLM")(config))


def close(found: Tensor, wanted: Tensor) -> None:
    assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()


def agree(ours: CompiledModel, logits: Tensor) -> None:
    """Ours gives these logits, for the whole sequence and step by step."""
    with torch.no_grad():
        close(ours(TOKENS), logits)
        state = ours.initial_state(len(TOKENS))
        for t in range(TOKENS.shape[1]):
            y, state = ours.step(TOKENS[:, t], state)
            close(y, logits[:, t])


def save(model: Any, folder: Path, way: str) -> None:
    if way == "bin":
        model.config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    else:
        model.save_pretrained(folder, max_shard_size="4KB" if way == "sharded" else "5GB")
    assert (folder / "model.safetensors.index.json").exists() == (way == "sharded")


@pytest.mark.parametrize("name", MODELS)
def test_out_of_transformers_and_back(name: str, transformers: Any, tmp_path: Path) -> None:
    model: Any = theirs(transformers, name)
    with torch.no_grad():
        logits = model(TOKENS).logits
    for way in ("safetensors", "sharded", "bin"):
        folder = tmp_path / way
        save(model, folder, way)
        ours = compiled(checkpoint_text("lm", folder), weights=folder)
        assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in model.parameters())
        agree(ours, logits)
    ours.save_pretrained(tmp_path / "back")
    back, told = type(model).from_pretrained(tmp_path / "back", output_loading_info=True)
    assert not any(told.values()), told
    assert back.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(back.state_dict()[key], tensor) for key, tensor in model.state_dict().items())
    with torch.no_grad():
        close(back.eval()(TOKENS).logits, logits)
    auto = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "back")
    assert type(auto) is type(model)


def test_a_float64_model_comes_back_as_one(transformers: Any, tmp_path: Path) -> None:
    model: Any = theirs(transformers, "mamba").double()
    model.save_pretrained(tmp_path / "ck")
    ours = compiled(checkpoint_text("lm", tmp_path / "ck"), weights=tmp_path / "ck", dtype="float64")
    ours.save_pretrained(tmp_path / "back")
    back = type(model).from_pretrained(tmp_path / "back")
    assert all(torch.equal(back.state_dict()[key], tensor) for key, tensor in model.state_dict().items())


def test_a_users_afternoon(transformers: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    """A checkpoint gets its spec, is compiled with its weights, and goes back; SMR in it does not go back."""
    monkeypatch.chdir(tmp_path)
    model: Any = theirs(transformers, "mamba2")
    model.save_pretrained("ck")
    assert run(["new", "lm", "--from", "ck"]) == 0
    assert run(["check", "lm.smr"]) == 0
    assert run(["compile", "lm.smr", "--weights", "ck", "-o", "package", "--quiet"]) == 0
    assert run(["compile", "lm.smr", "--model", "lm_smr", "--weights", "ck", "-o", "smr", "--quiet"]) == 0
    capsys.readouterr()
    with torch.no_grad():
        logits = model(TOKENS).logits
    agree(smrdsl.load("package"), logits)
    agree(smrdsl.load("smr"), logits)
    assert run(["export", "lm.smr", "--weights", "package", "--to", "huggingface", "-o", "out"]) == 0
    assert capsys.readouterr().out == "lm: Mamba2ForCausalLM, 4,680 parameters\n  folder   out\n"
    with torch.no_grad():
        close(type(model).from_pretrained("out").eval()(TOKENS).logits, logits)
    assert run(["export", "lm.smr", "--model", "lm_smr", "--to", "huggingface", "-o", "out2"]) == 1
    assert "(layers.0.mamba2.smr) has weights, and there is no place for them" in capsys.readouterr().err
    assert not Path("out2").exists()


# --- mambapy


class Language(nn.Module):
    """mambapy.lm.LM by its names; the file itself imports only where mamba_ssm is installed."""

    def __init__(self, mamba: Any, config: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, config.d_model)
        self.mamba = mamba.Mamba(config)
        self.norm_f = mamba.RMSNorm(config.d_model, config.rms_norm_eps, config.mup)
        self.lm_head = nn.Linear(config.d_model, VOCAB, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.lm_head(self.norm_f(self.mamba(self.embedding(tokens))))


def test_blocks_and_models_of_mambapy(tmp_path: Path) -> None:
    mamba = pytest.importorskip("mambapy.mamba")
    model: Any = noisy(Language(mamba, mamba.MambaConfig(d_model=16, n_layers=2, d_state=4, pscan=False)))
    for name, module in {"block": model.mamba.layers[0].mixer, "stack": model.mamba, "model": model}.items():
        torch.save(module.state_dict(), tmp_path / f"{name}.pt")
    blocks = "repeat 2 { residual { norm(rms) mamba(state=4) } }"
    spec = f"model lm {{ tokens({VOCAB}) embed(16) {blocks} norm(rms) linear({VOCAB}, bias=false) }}"
    u = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        block = smrdsl.layer("mamba(state=4)", width=16, weights=tmp_path / "block.pt", mode="infer")
        close(block(u), model.mamba.layers[0].mixer(u))
        stack = smrdsl.layer(blocks, width=16, weights=tmp_path / "stack.pt", mode="infer")
        close(stack(u), model.mamba(u))
        agree(compiled(f'import "std/mamba.smr" {spec}', weights=tmp_path / "model.pt"), model(TOKENS))
