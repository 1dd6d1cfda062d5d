"""Mamba: checkpoints of transformers' MambaForCausalLM, of mamba_ssm's MambaLMHeadModel and of mambapy.

D is the width, ED = expand D, N = state, R = dt_rank, K = conv.

    in_proj.weight (2 ED, D)        rows x | z               x_proj.weight (R + 2 N, ED)     rows Delta | B | C
    conv1d.weight (ED, 1, K)                                 dt_proj.weight (ED, R)  A_log (ED, N)  D (ED)
    out_proj.weight (D, ED)                                  in_proj.bias, out_proj.bias where bias is true

Source: transformers/models/mamba, mamba_ssm/modules/mamba_simple.py and models/config_mamba.py.
"""

from __future__ import annotations

import math
from typing import Any

from smrdsl.checkpoints.config import Config
from smrdsl.checkpoints.contract import Facts, Format, Parts, Value, has_bias
from smrdsl.checkpoints.shared import (
    check_huggingface,
    check_mamba_ssm,
    expansion,
    huggingface_config,
    padded_vocab,
    whole_expansion,
)
from smrdsl.checkpoints.trace import PRODUCTS, Trace
from smrdsl.graph.graph import Graph

TENSORS = {
    "in_proj.weight": ("x.weight", "z.weight"),
    "in_proj.bias": ("x.bias", "z.bias"),
    "conv1d.weight": ("conv.weight",),
    "conv1d.bias": ("conv.bias",),
    "x_proj.weight": ("core.W_x",),
    "dt_proj.weight": ("core.W_dt",),
    "dt_proj.bias": ("core.b_dt",),
    "A_log": ("core.A_log",),
    "D": ("core.D",),
    "out_proj.weight": ("out.weight",),
    "out_proj.bias": ("out.bias",),
}
SSM_KEYS = {"d_state", "d_conv", "expand", "dt_rank", "dt_min", "dt_max", "conv_bias", "bias"}


def read(t: Trace, key: str) -> tuple[Parts, str]:
    """out(s6(silu(conv(x))) * silu(z)), with x and z linear in the stream that enters."""
    out = t.at(key, "linear")
    stream, gate = t.factors(t.into(out, *PRODUCTS))
    core = t.at(stream, "s6")
    conv = t.into(t.into(core, "silu"), "conv1d")
    x, z = t.into(conv, "linear"), t.into(gate, "linear")
    return {"x": x, "z": z, "conv": conv, "core": core, "out": out}, t.source(x, z)


def arguments(g: Graph, parts: Parts) -> dict[str, Value]:
    core: Any = g.node(parts["core"]).params
    return {
        "state": core.state,
        "conv": g.node(parts["conv"]).params.kernel,  # type: ignore[attr-defined]
        "expand": expansion(g, parts),
        "dt_rank": g.parameters(parts["core"])["W_dt"].shape[1],
        "dt": core.dt,
        "bias": has_bias(g, parts["x"], parts["z"], parts["out"]),
        "conv_bias": has_bias(g, parts["conv"]),
    }


def from_huggingface(c: Config) -> Facts:
    check_huggingface(c)
    width = c.whole("hidden_size", 768)
    return Facts(
        width=width,
        depth=c.whole("num_hidden_layers", 32),
        eps=c.real("layer_norm_epsilon", 1e-5),
        vocab=c.whole("vocab_size", 50280),
        tied=c.flag("tie_word_embeddings", True),
        block={
            "state": c.whole("state_size", 16),
            "conv": c.whole("conv_kernel", 4),
            "expand": c.whole("expand", 2),
            "dt_rank": _rank(c, "time_step_rank", width),
            "dt": c.range(("time_step_min", 0.001), ("time_step_max", 0.1)),
            "bias": c.flag("use_bias", False),
            "conv_bias": c.flag("use_conv_bias", True),
        },
    )


def from_mamba_ssm(c: Config) -> Facts:
    ssm = check_mamba_ssm(c, SSM_KEYS)
    width = c.whole("d_model", 2560)
    return Facts(
        width=width,
        depth=c.whole("n_layer", 64),
        eps=1e-5,
        vocab=padded_vocab(c),
        tied=c.flag("tie_embeddings", True),
        block={
            "state": ssm.whole("d_state", 16),
            "conv": ssm.whole("d_conv", 4),
            "expand": ssm.whole("expand", 2),
            "dt_rank": _rank(ssm, "dt_rank", width),
            "dt": ssm.range(("dt_min", 0.001), ("dt_max", 0.1)),
            "bias": ssm.flag("bias", False),
            "conv_bias": ssm.flag("conv_bias", True),
        },
    )


def _rank(c: Config, key: str, width: int) -> int:
    return math.ceil(width / 16) if c.get(key, "auto") == "auto" else c.whole(key)


def to_huggingface(facts: Facts) -> dict[str, Any]:
    return huggingface_config(facts) | {
        "expand": whole_expansion(facts),
        "intermediate_size": whole_expansion(facts) * facts.width,
        "time_step_rank": facts.block["dt_rank"],
    }


FORMAT = Format(
    name="mamba",
    title="Mamba",
    architecture="MambaForCausalLM",
    core="s6",
    mark="x_proj.weight",
    tensors=TENSORS,
    read=read,
    arguments=arguments,
    unseen=(),
    from_huggingface=from_huggingface,
    from_mamba_ssm=from_mamba_ssm,
    to_huggingface=to_huggingface,
)
