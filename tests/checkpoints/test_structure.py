"""A model is read by what it computes: any labels, any way to write a block; and what has no place is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import smrdsl
from smrdsl.checkpoints.export import describe
from smrdsl.checkpoints.formats import FORMATS, format_of_keys
from smrdsl.checkpoints.stack import read_stack
from smrdsl.checkpoints.trace import Odd
from smrdsl.compiler import lower_source
from smrdsl.core.errors import SmrError
from smrdsl.core.source import Source
from smrdsl.graph.graph import Graph
from tests.checkpoints.tiny import TOKENS, checkpoint, compiled, same, spec, tensors

MAMBA, MAMBA2 = FORMATS

BY_HAND = """
component gate_first {
  let d = width
  u := it
  gate: linear(2 * d, bias=false)
  g := it |> silu
  it := u |> linear(2 * d, bias=false) |> conv1d(4)
  silu
  mix: s6(state=4, dt_rank=1)
  it := g * it
  down: linear(d, bias=false)
}
model lm {
  tokens(vocab=11)
  words: embed(16)
  deep: repeat 2 { residual { first: norm(rms)  skip  dropout(0.1)  gate_first } }
  last: norm(rms)
  scores: linear(11, bias=false, tie=words)
}
"""


def graph(text: str) -> Graph:
    return lower_source(Source("lm.smr", text)).graph


def test_a_block_that_is_written_out_by_hand(tmp_path: Path) -> None:
    wanted = checkpoint(tmp_path / "ck")
    model = compiled(BY_HAND, weights=tmp_path / "ck")
    assert same(model, wanted)
    model.save_pretrained(tmp_path / "again")
    theirs, ours = tensors(tmp_path / "ck"), tensors(tmp_path / "again")
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[key], ours[key]) for key in theirs)


@pytest.mark.parametrize("edit", ["place smr before mamba", "place smr after norm", "place smr before linear"])
def test_an_smr_may_stand_anywhere(edit: str, tmp_path: Path) -> None:
    wanted = checkpoint(tmp_path / "ck")
    text = f"{spec()} model edited extends lm {{ {edit} }}"
    assert same(compiled(text, model="edited", weights=tmp_path / "ck"), wanted)


def test_a_part_of_a_model_takes_a_part_of_a_checkpoint(tmp_path: Path) -> None:
    """As transformers' MambaModel, without a head, and as mambapy's Mamba, of blocks alone."""
    whole = checkpoint(tmp_path / "ck")
    held = tensors(tmp_path / "ck")
    backbone = {key.removeprefix("backbone."): tensor for key, tensor in held.items()}
    blocks = {key: tensor for key, tensor in backbone.items() if key.startswith("layers.")}
    torch.save(backbone, tmp_path / "backbone.pt")
    torch.save(blocks, tmp_path / "blocks.pt")
    headless = spec().replace("linear(11, bias=false, tie=tok)", "")
    stack = "repeat 2 { residual { norm(rms) mamba(state=4) } }"
    with torch.no_grad():
        x = compiled(headless, weights=tmp_path / "backbone.pt")(TOKENS)
        assert torch.equal(x @ held["backbone.embeddings.weight"].mT, whole(TOKENS))
        u = held["backbone.embeddings.weight"][TOKENS]
        y = smrdsl.layer(stack, width=16, weights=tmp_path / "blocks.pt", mode="infer")(u)
        scaled = y * (y.square().mean(-1, keepdim=True) + 1e-5).rsqrt()
        torch.testing.assert_close(scaled * held["backbone.norm_f.weight"], x)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("norm(rms)  mamba", "norm(layer)  mamba", "norm(layer) (layers.1.norm) stands where kind=rms is wanted"),
        ("residual {", "residual(scale=0.5) {", "(layers.1.residual) stands where scale=1 is wanted"),
        ("norm(rms)  mamba", "mamba", "stands where `norm` is wanted"),
        ("mamba(state=4)", "mamba(state=4) gelu", "gelu (layers.1.gelu) stands where `linear` is wanted"),
        ("embed(16)", "embed(16) gelu", "gelu (gelu) stands where `tokens` or `signal` is wanted"),
        ("embed(16)", "embed(16, positions=sinusoidal)", "stands where positions=none is wanted"),
        (", tie=tok)", ") affine", "affine (affine) stands where `residual` is wanted"),
        ("bias=false, tie=tok", "tie=tok", "linear has a bias, and the head of a checkpoint has none"),
        ("mamba(state=4)", "s4(state=4)", "`s4`"),
    ],
)  # fmt: skip
def test_what_is_no_such_stack(old: str, new: str, told: str, tmp_path: Path) -> None:
    text = spec().replace(old, new)
    assert text != spec()
    if new == "s4(state=4)":
        with pytest.raises(SmrError, match="it has no core `s6`"):
            describe(graph(text))
        return
    with pytest.raises(Odd, match=re.escape(told)):
        read_stack(graph(text), MAMBA).entries()
    checkpoint(tmp_path / "ck")
    with pytest.raises(SmrError, match=re.escape(told)):
        compiled(text, weights=tmp_path / "ck")


def test_a_bias_in_one_of_the_fused_projections_is_told() -> None:
    text = BY_HAND.replace("gate: linear(2 * d, bias=false)", "gate: linear(2 * d)")
    with pytest.raises(
        Odd, match=r"there is no .*\.linear\.bias, which would be a part of layers\.0\.mixer\.in_proj\.bias"
    ):
        read_stack(graph(text), MAMBA).entries()


def test_a_gate_from_another_stream_is_told() -> None:
    text = BY_HAND.replace("gate: linear(2 * d, bias=false)\n", "gelu  gate: linear(2 * d, bias=false)\n")
    with pytest.raises(Odd, match=r"gate: linear.* stands reading .*\.gelu, where .*\.first is wanted"):
        read_stack(graph(text), MAMBA)


@pytest.mark.parametrize(
    ("component", "old", "new", "told"),
    [
        ("mamba", "place smr(memory=3) before ssm", "place smr after embed", "smr (smr) has weights, and there is no"),
        ("mamba", "tokens(vocab=11)", "tokens(vocab=11, timed=true)", "has timed=true"),
        ("mamba", "linear(11, bias=false, tie=tok)", "", "it has no head"),
        ("mamba", "mamba(state=4)", "mamba(state=4, expand=1.5)", "1.5 times the width inside"),
        ("mamba", "norm(rms)\n", "norm(rms, eps=1e-6)\n", "eps 1e-06 and layers.0.norm has 1e-05"),
        ("mamba2", "groups=2", "groups=2, norm_groups=1", "the norm in its blocks has 1 groups"),
        ("mamba2", "groups=2", "rmsnorm=false", "no norm behind the gate"),
        ("mamba2", "groups=2", "norm_before_gate=true", "no norm behind the gate"),
        ("mamba2", "groups=2", "eps=1e-6", "has eps 1e-06 and the others 1e-05"),
    ],
)  # fmt: skip
def test_what_transformers_has_no_model_for(component: str, old: str, new: str, told: str) -> None:
    text = spec(component).replace(old, new)
    assert text != spec(component)
    name = "lm_smr" if "after embed" in new else "lm"
    with pytest.raises(SmrError, match=f"model {name} cannot be one of transformers: .*{re.escape(told)}"):
        describe(lower_source(Source("lm.smr", text), model=name).graph)


def test_blocks_that_differ_have_no_config() -> None:
    text = spec().replace("repeat 2 {", "repeat 2 as i {").replace("state=4", "state=4, conv=2 + i")
    with pytest.raises(SmrError, match=r"has conv 3 and .* has 2, and a checkpoint has one for all"):
        describe(graph(text))


def test_keys_tell_the_format() -> None:
    for component, format in zip(("mamba", "mamba2"), FORMATS, strict=True):
        entries = read_stack(graph(spec(component)), format).entries()
        assert format_of_keys([f"backbone.{e.key}" for e in entries]) is format
        assert format_of_keys(list(compiled(spec(component)).state_dict())) is None
    assert format_of_keys([]) is None
    assert format_of_keys(["A_log", "dt_bias", "in_proj.weight"]) is MAMBA2
