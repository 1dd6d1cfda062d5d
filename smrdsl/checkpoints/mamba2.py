"""Mamba-2: checkpoints of transformers' Mamba2ForCausalLM and of mamba_ssm's MambaLMHeadModel with layer Mamba2.

D is the width, ED = expand D, N = state, G = groups, H = ED / head the heads, K = conv.

    in_proj.weight (2 ED + 2 G N + H, D)     rows z | x | B | C | Delta
    conv1d.weight (ED + 2 G N, 1, K)         rows x | B | C
    dt_bias, A_log, D (H)   norm.weight (ED)   out_proj.weight (D, ED)   in_proj.bias, out_proj.bias where bias is true

The norm inside runs over groups of ED / G channels, in mamba_ssm and in today's transformers. Source:
transformers/models/mamba2, mamba_ssm/modules/mamba2.py and models/config_mamba.py.
"""

from __future__ import annotations

import math
from typing import Any

from smrdsl.checkpoints.config import Config
from smrdsl.checkpoints.contract import Facts, Format, Parts, Value, alike, has_bias
from smrdsl.checkpoints.shared import (
    check_huggingface,
    check_mamba_ssm,
    expansion,
    huggingface_config,
    padded_vocab,
    whole_expansion,
)
from smrdsl.checkpoints.trace import PRODUCTS, Odd, Trace
from smrdsl.graph.graph import Graph
from smrdsl.ops.contract import Range

TENSORS = {
    "in_proj.weight": ("z.weight", "x.weight", "b.weight", "c.weight", "delta.weight"),
    "in_proj.bias": ("z.bias", "x.bias", "b.bias", "c.bias", "delta.bias"),
    "conv1d.weight": ("conv_x.weight", "conv_b.weight", "conv_c.weight"),
    "conv1d.bias": ("conv_x.bias", "conv_b.bias", "conv_c.bias"),
    "dt_bias": ("core.dt_bias",),
    "A_log": ("core.A_log",),
    "D": ("core.D",),
    "norm.weight": ("norm.weight",),
    "out_proj.weight": ("out.weight",),
    "out_proj.bias": ("out.bias",),
}
SSM_KEYS = {
    "layer", "d_state", "d_conv", "expand", "headdim", "ngroups", "A_init_range", "rmsnorm", "norm_before_gate",
    "dt_min", "dt_max", "dt_limit", "bias", "conv_bias",
}  # fmt: skip
ENDLESS = 1e30
"""Stands for infinity, which no spec can write, above a lower bound."""


# --- in a graph


def read(t: Trace, key: str) -> tuple[Parts, str]:
    """out(norm(ssd_scan(x, b, c, delta) * silu(z))), or with the norm before the gate, or without it."""
    out = t.at(key, "linear")
    parts = {"out": out}
    below = t.graph.inputs(out)[0]
    if t.name(below) == "norm":
        parts["norm"] = t.at(below, "norm")
        below = t.graph.inputs(parts["norm"])[0]
    stream, gate = t.factors(t.at(below, *PRODUCTS))
    if "norm" not in parts and t.name(stream) == "norm":
        parts["norm"] = t.at(stream, "norm")
        stream = t.graph.inputs(parts["norm"])[0]
    parts["core"] = t.at(stream, "ssd_scan")
    parts["z"] = t.into(gate, "linear")
    *convolved, delta = t.graph.inputs(parts["core"])
    for name, source in zip("xbc", convolved, strict=True):
        parts[f"conv_{name}"] = t.into(t.at(source, "silu"), "conv1d")
        parts[name] = t.into(parts[f"conv_{name}"], "linear")
    parts["delta"] = t.at(delta, "linear")
    return parts, t.source(*(parts[name] for name in ("z", "x", "b", "c", "delta")))


def arguments(g: Graph, parts: Parts) -> dict[str, Value]:
    core: Any = g.node(parts["core"]).params
    norm: Any = g.node(parts["norm"]).params if "norm" in parts else None
    convolutions = [parts[name] for name in ("conv_x", "conv_b", "conv_c")]
    return {
        "state": g.node(parts["b"]).type.width // core.groups,
        "head": core.head,
        "groups": core.groups,
        "conv": alike("a kernel of", {key: g.node(key).params.kernel for key in convolutions}),  # type: ignore[attr-defined]
        "expand": expansion(g, parts),
        "limit": core.limit,
        "rmsnorm": norm is not None,
        "norm_groups": norm.groups if norm else core.groups,
        "norm_before_gate": norm is not None and g.node(g.inputs(parts["out"])[0]).op.name != "norm",
        "eps": norm.eps if norm else 1e-5,
        "dt": core.dt,
        "a": core.a,
        "bias": has_bias(g, *(parts[name] for name in ("z", "x", "b", "c", "delta", "out"))),
        "conv_bias": has_bias(g, *convolutions),
    }


# --- in a config


def from_huggingface(c: Config) -> Facts:
    check_huggingface(c)
    width, expand = c.whole("hidden_size", 4096), c.whole("expand", 2)
    head, groups = c.whole("head_dim", 64), c.whole("n_groups", 8)
    if c.whole("num_heads", 128) * head != expand * width:
        raise c.refuse("num_heads", f"with head_dim {head} that is not expand * hidden_size, {expand * width}")
    eps = c.real("layer_norm_epsilon", 1e-5)
    return Facts(
        width=width,
        depth=c.whole("num_hidden_layers", 64),
        eps=eps,
        vocab=c.whole("vocab_size", 32768),
        tied=c.flag("tie_word_embeddings", False),
        block={
            "state": c.whole("state_size", 128),
            "head": head,
            "groups": groups,
            "conv": c.whole("conv_kernel", 4),
            "expand": expand,
            "limit": _limit(c, "time_step_limit"),
            "rmsnorm": True,
            "norm_groups": groups,
            "norm_before_gate": False,
            "eps": eps,
            "dt": c.range(("time_step_min", 0.001), ("time_step_max", 0.1)),
            "a": Range(low=1.0, high=16.0),
            "bias": c.flag("use_bias", False),
            "conv_bias": c.flag("use_conv_bias", True),
        },
    )


def from_mamba_ssm(c: Config) -> Facts:
    ssm = check_mamba_ssm(c, SSM_KEYS)
    groups = ssm.whole("ngroups", 1)
    return Facts(
        width=c.whole("d_model", 2560),
        depth=c.whole("n_layer", 64),
        eps=1e-5,
        vocab=padded_vocab(c),
        tied=c.flag("tie_embeddings", True),
        block={
            "state": ssm.whole("d_state", 128),
            "head": ssm.whole("headdim", 64),
            "groups": groups,
            "conv": ssm.whole("d_conv", 4),
            "expand": ssm.whole("expand", 2),
            "limit": _limit(ssm, "dt_limit"),
            "rmsnorm": ssm.flag("rmsnorm", True),
            "norm_groups": groups,
            "norm_before_gate": ssm.flag("norm_before_gate", False),
            "eps": 1e-5,
            "dt": ssm.range(("dt_min", 0.001), ("dt_max", 0.1)),
            "a": _decays(ssm),
            "bias": ssm.flag("bias", False),
            "conv_bias": ssm.flag("conv_bias", True),
        },
    )


def _decays(c: Config) -> Range:
    low, high = c.pair("A_init_range", (1.0, 16.0))
    if low <= 0 or high == math.inf:
        raise c.refuse("A_init_range", "two numbers above 0 are needed")
    return Range(low=low, high=high)


def _limit(c: Config, key: str) -> Range | None:
    """What steps are clamped to; none where that is all there is, as after softplus."""
    low, high = c.pair(key, (0.0, math.inf))
    if high <= 0 or low == math.inf:
        raise c.refuse(key, "no step lies there")
    if low <= 0 and high == math.inf:
        return None
    return Range(low=max(low, 0.0), high=min(high, ENDLESS))


def to_huggingface(facts: Facts) -> dict[str, Any]:
    block = facts.block
    if not block["rmsnorm"] or block["norm_before_gate"]:
        raise Odd("its blocks have no norm behind the gate, where transformers has one")
    if block["norm_groups"] != block["groups"]:
        raise Odd(
            f"the norm in its blocks has {block['norm_groups']} groups, in transformers those of B, {block['groups']}"
        )
    if block["eps"] != facts.eps:
        raise Odd(f"the norm in its blocks has eps {block['eps']:g} and the others {facts.eps:g}, and a config has one")
    limit = block["limit"]
    return huggingface_config(facts) | {
        "expand": whole_expansion(facts),
        "num_heads": whole_expansion(facts) * facts.width // _whole(block["head"]),
        "head_dim": block["head"],
        "n_groups": block["groups"],
        "time_step_limit": [limit.low, limit.high] if isinstance(limit, Range) else [0.0, math.inf],
        "chunk_size": 256,
    }


def note(facts: Facts) -> str:
    if facts.block["norm_groups"] == 1:
        return ""
    return (
        "The norm inside a block runs over norm_groups groups of channels, as in mamba_ssm and today's transformers;\n"
        "earlier ones ran over all channels, which is norm_groups=1."
    )


def _whole(value: Value) -> int:
    assert isinstance(value, int)
    return value


FORMAT = Format(
    name="mamba2",
    title="Mamba-2",
    architecture="Mamba2ForCausalLM",
    core="ssd_scan",
    mark="dt_bias",
    tensors=TENSORS,
    read=read,
    arguments=arguments,
    unseen=("head", "groups", "limit", "norm_groups", "norm_before_gate", "eps"),
    from_huggingface=from_huggingface,
    from_mamba_ssm=from_mamba_ssm,
    to_huggingface=to_huggingface,
    note=note,
)
