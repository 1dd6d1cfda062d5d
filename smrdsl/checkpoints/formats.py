"""Formats: the kinds of checkpoints that are known, and which one a config, some keys or a model belong to."""

from __future__ import annotations

from collections.abc import Collection

from smrdsl.checkpoints.config import Config
from smrdsl.checkpoints.contract import Facts, Format
from smrdsl.checkpoints.keys import plain
from smrdsl.checkpoints.mamba import FORMAT as MAMBA
from smrdsl.checkpoints.mamba2 import FORMAT as MAMBA2
from smrdsl.checkpoints.stack import HEAD
from smrdsl.checkpoints.trace import Odd
from smrdsl.graph.graph import Graph

FORMATS: tuple[Format, ...] = (MAMBA, MAMBA2)
LAYERS = {"Mamba1": MAMBA, "Mamba2": MAMBA2}
"""What mamba_ssm calls them."""
FUSED = "in_proj.weight"
"""The tensor that every format has and no spec."""


def format_of_keys(keys: Collection[str]) -> Format | None:
    """The format of a checkpoint with these keys, None where it is none that is known."""
    ends = {".".join(key.split(".")[-2:]) for key in keys} | {key.rpartition(".")[2] for key in keys}
    return next((f for f in FORMATS if f.mark in ends and FUSED in ends), None)


def format_of_graph(g: Graph) -> Format:
    """The format whose core a model has. Raises `Odd`."""
    names = {node.op.name for _, node, _ in g}
    for format in FORMATS:
        if format.core in names:
            return format
    known = " or ".join(f"`{f.core}` ({f.title})" for f in FORMATS)
    raise Odd(f"it has no core {known}")


def facts_of_config(c: Config, keys: Collection[str] | None = None) -> tuple[Format, Facts]:
    """What a config of transformers or mamba_ssm says. Raises `SmrError` with the key that cannot be had.

    keys: of the weights beside it. Where the config does not say whether there are biases and a head, they do.
    """
    if keys is not None:
        c = Config(c.where, c.keys | {key: said for key, said in _told_by(keys).items() if key not in c})
    if "model_type" in c:
        format = next((f for f in FORMATS if f.name == c.keys["model_type"]), None)
        if format is None:
            raise c.refuse("model_type", f"known are {', '.join(f.name for f in FORMATS)}")
        return format, format.from_huggingface(c)
    if "d_model" not in c:
        raise c.refuse("model_type", "and no `d_model`: it is the config of neither transformers nor mamba_ssm")
    ssm = c.part("ssm_cfg")
    layer = ssm.get("layer", "Mamba1")
    if not isinstance(layer, str) or layer not in LAYERS:
        raise ssm.refuse("layer", f"known are {', '.join(LAYERS)}")
    return LAYERS[layer], LAYERS[layer].from_mamba_ssm(c)


def says_all(c: Config) -> bool:
    """Whether a config can be read without a look at the keys beside it."""
    return "model_type" not in c or all(key in c for key in _told_by(()))


def _told_by(keys: Collection[str]) -> dict[str, bool]:
    ours = {plain(key) for key in keys}
    return {
        "use_bias": any(key.endswith("in_proj.bias") for key in ours),
        "use_conv_bias": any(key.endswith("conv1d.bias") for key in ours),
        "tie_word_embeddings": HEAD not in ours,
    }
