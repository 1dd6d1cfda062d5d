"""What the configs of all Mambas have in common, and what of them is not known here."""

from __future__ import annotations

from typing import Any

from smrdsl.checkpoints.config import Config
from smrdsl.checkpoints.contract import Facts, Parts
from smrdsl.checkpoints.trace import Odd
from smrdsl.graph.graph import Graph
from smrdsl.ops.contract import Range

SSM_START = {"layer", "dt_init", "dt_scale", "dt_init_floor", "conv_init", "chunk_size", "use_fast_path",
             "use_mem_eff_path"}  # fmt: skip
"""Keys of `ssm_cfg` that say how training starts or how it is computed, not what."""
BLOCKS = ("mamba", "mamba2", "linear_attention")
"""What configs call a layer that is a block."""


def check_huggingface(c: Config) -> None:
    """Refuse what transformers can be told and a spec of these blocks cannot."""
    c.need("hidden_act", "silu", "only silu is known")
    c.need("rms_norm", True, "only rms norms are known")
    _no_other_layers(c)


def check_mamba_ssm(c: Config, known: set[str]) -> Config:
    """The part that describes the blocks. Refuses what mamba_ssm can be told and a spec of these blocks cannot."""
    c.need("rms_norm", True, "only rms norms are known")
    _no_other_layers(c)
    ssm = c.part("ssm_cfg")
    for key in sorted(ssm.keys.keys() - known - SSM_START):
        if ssm.keys[key] not in (False, None):
            raise ssm.refuse(key, "no spec can say that")
    return ssm


def _no_other_layers(c: Config) -> None:
    """All layers are blocks of one kind."""
    for key in ("attn_layer_idx", "attn_layer_indices"):
        if c.get(key, None):
            raise c.refuse(key, "layers of attention between the others are not known")
    c.need("d_intermediate", 0, "an MLP behind each block is not known")
    for key in ("layer_types", "layers_block_type"):
        kinds = c.get(key, [])
        if not isinstance(kinds, list) or not all(kind in BLOCKS for kind in kinds):
            raise c.refuse(key, f"all layers must be one block, and each of these is: {', '.join(BLOCKS)}")


def padded_vocab(c: Config) -> int:
    """mamba_ssm rounds the vocabulary up to a whole number of `pad_vocab_size_multiple`."""
    multiple = c.whole("pad_vocab_size_multiple", 8)
    return -(-c.whole("vocab_size", 50277) // multiple) * multiple


def expansion(g: Graph, parts: Parts) -> int | float:
    """How many times the width the channels inside are."""
    inner, width = g.node(parts["core"]).type.width, g.node(parts["out"]).type.width
    return inner / width if inner % width else inner // width


def whole_expansion(facts: Facts) -> int:
    """The same, as transformers has it. Raises `Odd` where it is no whole number."""
    expand = facts.block["expand"]
    if not isinstance(expand, int):
        raise Odd(f"its blocks have {expand:g} times the width inside, and transformers a whole number of times")
    return expand


def huggingface_config(facts: Facts) -> dict[str, Any]:
    """What the configs of Mamba and Mamba-2 have in common."""
    dt = facts.block["dt"]
    assert isinstance(dt, Range)
    return {
        "vocab_size": facts.vocab,
        "hidden_size": facts.width,
        "num_hidden_layers": facts.depth,
        "layer_norm_epsilon": facts.eps,
        "tie_word_embeddings": facts.tied,
        "state_size": facts.block["state"],
        "conv_kernel": facts.block["conv"],
        "use_bias": facts.block["bias"],
        "use_conv_bias": facts.block["conv_bias"],
        "hidden_act": "silu",
        "time_step_min": dt.low,
        "time_step_max": dt.high,
    }
