"""Tiny models and checkpoints that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import smrdsl
from smrdsl.runtime.model import CompiledModel

BLOCKS = {"mamba": "mamba(state=4)", "mamba2": "mamba2(state=4, head=8, groups=2)"}
TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9, 2], [6, 5, 3, 5, 8, 9, 7]])


def spec(component: str = "mamba", depth: int = 2, width: int = 16, tie: str = ", tie=tok") -> str:
    return f"""
import "std/{component}.smr"
model lm {{
  tokens(vocab=11)
  tok: embed({width})
  repeat {depth} {{ residual {{ norm(rms)  {BLOCKS[component]} }} }}
  norm(rms)
  linear(11, bias=false{tie})
}}
model lm_smr extends lm {{ place smr(memory=3) before ssm }}
"""


def compiled(text: str, **options: object) -> CompiledModel:
    return smrdsl.compile_text(text, mode="infer", **options)


def checkpoint(folder: Path, component: str = "mamba", **options: object) -> CompiledModel:
    """A model with weights unlike the initial ones, and the folder written as its checkpoint."""
    model = compiled(spec(component, **options), seed=7)
    model.save_pretrained(folder)
    return model


def tensors(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def rewrite(folder: Path, changed: Mapping[str, Tensor]) -> None:
    """Write the weights of a checkpoint anew, whole."""
    save_file({key: tensor.contiguous().clone() for key, tensor in changed.items()}, folder / "model.safetensors")


def same(a: CompiledModel, b: CompiledModel) -> bool:
    """Whether two models compute the same, to the bit."""
    with torch.no_grad():
        return torch.equal(a(TOKENS), b(TOKENS))
