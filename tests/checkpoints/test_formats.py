"""Configs of transformers and mamba_ssm: the spec that each gives, its size, and what is refused by its key."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from smrdsl.checkpoints.config import Config, read_config
from smrdsl.checkpoints.export import describe
from smrdsl.checkpoints.formats import facts_of_config
from smrdsl.checkpoints.spec import spec_text
from smrdsl.checkpoints.stack import read_stack
from smrdsl.compiler import lower_source
from smrdsl.core.errors import Report, SmrError
from smrdsl.core.source import Source
from smrdsl.graph.graph import Graph
from smrdsl.ops.contract import Range
from smrdsl.syntax.format import format_text

MAMBA_130M = {
    "model_type": "mamba", "hidden_size": 768, "num_hidden_layers": 24, "vocab_size": 50280, "state_size": 16,
    "expand": 2, "conv_kernel": 4, "time_step_rank": 48, "use_bias": False, "use_conv_bias": True, "hidden_act": "silu",
    "layer_norm_epsilon": 1e-05, "residual_in_fp32": True, "tie_word_embeddings": True, "intermediate_size": 1536,
    "time_step_scale": 1.0, "time_step_floor": 0.0001, "rescale_prenorm_residual": False, "initializer_range": 0.1,
}  # fmt: skip
MAMBA2_130M = {
    "model_type": "mamba2", "hidden_size": 768, "num_hidden_layers": 24, "vocab_size": 50288, "state_size": 128,
    "num_heads": 24, "head_dim": 64, "n_groups": 1, "chunk_size": 256, "expand": 2, "conv_kernel": 4, "use_bias": False,
    "use_conv_bias": True, "layer_norm_epsilon": 1e-05, "tie_word_embeddings": True, "time_step_limit": [0.0, math.inf],
}  # fmt: skip
SSM_130M = {
    "d_model": 768, "n_layer": 24, "vocab_size": 50277, "ssm_cfg": {}, "rms_norm": True, "residual_in_fp32": True,
    "fused_add_norm": True, "pad_vocab_size_multiple": 8,
}  # fmt: skip
SSM2_130M = {
    "d_model": 768, "d_intermediate": 0, "n_layer": 24, "vocab_size": 50277, "ssm_cfg": {"layer": "Mamba2"},
    "attn_layer_idx": [], "attn_cfg": {}, "rms_norm": True, "residual_in_fp32": True, "fused_add_norm": True,
    "pad_vocab_size_multiple": 16, "tie_embeddings": True,
}  # fmt: skip
CODESTRAL = MAMBA2_130M | {
    "hidden_size": 4096, "num_heads": 128, "n_groups": 8, "num_hidden_layers": 64, "vocab_size": 32768,
    "tie_word_embeddings": False,
}  # fmt: skip
SIZES = [
    (MAMBA_130M, 129_135_360),
    (SSM_130M, 129_135_360),
    (MAMBA2_130M, 128_989_632),
    (SSM2_130M, 128_989_632),
    (MAMBA_130M | {"hidden_size": 2560, "num_hidden_layers": 64, "time_step_rank": "auto"}, 2_768_345_600),
    (SSM2_130M | {"d_model": 2560, "n_layer": 64}, 2_702_599_680),
]


def graph(config: dict[str, Any], name: str = "lm") -> Graph:
    format, facts = facts_of_config(Config("config.json", config))
    return lower_source(Source("spec", spec_text(name, format, facts, "config.json", "dir"))).graph


@pytest.mark.parametrize(("config", "size"), SIZES)
def test_the_published_sizes(config: dict[str, Any], size: int) -> None:
    g = graph(config)
    assert sum(p.size for key in g.keys for p in g.parameters(key).values()) == size


@pytest.mark.parametrize("config", [MAMBA_130M, SSM_130M, MAMBA2_130M, SSM2_130M, CODESTRAL])
def test_a_spec_says_all_that_its_config_does(config: dict[str, Any]) -> None:
    """The graph of the spec, read back, has the same facts; transformers' own keys come back too."""
    format, facts = facts_of_config(Config("config.json", config))
    g = graph(config)
    assert read_stack(g, format).facts() == facts
    again = describe(g).config("float32")
    assert facts_of_config(Config("again", again)) == (format, facts)
    if "model_type" in config:
        shared = config.keys() & again.keys() - {"time_step_limit"}  # infinity is written otherwise
        assert {key: again[key] for key in shared} == {key: config[key] for key in shared}


@pytest.mark.parametrize("name", ["lm", "mamba"])
def test_the_text_is_in_the_one_style_whatever_the_name(name: str) -> None:
    format, facts = facts_of_config(Config("config.json", MAMBA_130M))
    text = spec_text(name, format, facts, "a\nb/config.json", "a\nb")
    assert format_text(Source("spec", text), Report()) == text
    assert lower_source(Source("spec", text)).graph.name == name
    assert lower_source(Source("spec", text), model=f"{name}_smr").graph.name == f"{name}_smr"
    assert text.startswith(f"# {name}: Mamba as `a?b/config.json` describes it.\n")


def test_options_of_the_published_code() -> None:
    ssm = {"layer": "Mamba2", "d_state": 64, "headdim": 32, "ngroups": 4, "dt_limit": [0.0, 0.5], "rmsnorm": True,
           "norm_before_gate": True, "bias": True, "conv_bias": False, "A_init_range": [1, 8], "D_has_hdim": False,
           "d_ssm": None, "chunk_size": 128, "dt_min": 0.01}  # fmt: skip
    _, facts = facts_of_config(Config("config.json", SSM2_130M | {"ssm_cfg": ssm, "tie_embeddings": False}))
    assert facts.tied is False
    assert facts.block == {
        "state": 64, "head": 32, "groups": 4, "conv": 4, "expand": 2, "limit": Range(low=0.0, high=0.5),
        "rmsnorm": True, "norm_groups": 4, "norm_before_gate": True, "eps": 1e-5, "dt": Range(low=0.01, high=0.1),
        "a": Range(low=1.0, high=8.0), "bias": True, "conv_bias": False,
    }  # fmt: skip
    (node,) = (n for k, n, _ in graph(SSM2_130M | {"ssm_cfg": ssm, "n_layer": 1}) if n.op.name == "ssd_scan")
    assert (node.params.limit, node.params.groups) == (Range(low=0.0, high=0.5), 4)


def test_an_endless_limit_with_a_lower_bound_can_be_written() -> None:
    g = graph(MAMBA2_130M | {"time_step_limit": [0.001, {"__float__": "Infinity"}], "num_hidden_layers": 1})
    (node,) = (n for _, n, _ in g if n.op.name == "ssd_scan")
    assert node.params.limit.low == 0.001
    assert node.params.limit.high >= 1e30


def test_groups_are_explained() -> None:
    format, facts = facts_of_config(Config("config.json", CODESTRAL))
    assert "norm_groups=1." in spec_text("lm", format, facts, "c", "d")
    assert facts.block["norm_groups"] == 8


def test_a_silent_config_is_completed_by_the_keys_of_the_weights() -> None:
    silent = {key: value for key, value in MAMBA_130M.items() if key not in ("use_bias", "tie_word_embeddings")}
    keys = ["backbone.layers.0.mixer.in_proj.bias", "backbone.layers.0.mixer.conv1d.bias", "lm_head.weight"]
    _, facts = facts_of_config(Config("config.json", silent), keys)
    assert (facts.block["bias"], facts.block["conv_bias"], facts.tied) == (True, True, False)
    _, facts = facts_of_config(Config("config.json", silent), [])
    assert (facts.block["bias"], facts.block["conv_bias"], facts.tied) == (False, True, True)


REFUSED = [
    (MAMBA_130M, {"hidden_act": "gelu"}, '`hidden_act` is "gelu"; only silu is known'),
    (MAMBA_130M, {"model_type": "jamba"}, '`model_type` is "jamba"; known are mamba, mamba2'),
    (MAMBA_130M, {"model_type": None, "x": 1}, "`model_type` is null; and no `d_model`"),
    (MAMBA_130M, {"hidden_size": "768"}, '`hidden_size` is "768"; a whole number above 0 is needed'),
    (MAMBA_130M, {"vocab_size": 0}, "`vocab_size` is 0; a whole number above 0 is needed"),
    (MAMBA_130M, {"num_hidden_layers": True}, "`num_hidden_layers` is true; a whole number"),
    (MAMBA_130M, {"use_bias": 0}, "`use_bias` is 0; true or false is needed"),
    (MAMBA_130M, {"layer_norm_epsilon": -1}, "`layer_norm_epsilon` is -1; a number above 0 is needed"),
    (MAMBA_130M, {"time_step_rank": "big"}, '`time_step_rank` is "big"; a whole number above 0'),
    (MAMBA_130M, {"layers_block_type": ["mamba", "attention"]}, "all layers must be one block"),
    (MAMBA2_130M, {"num_heads": 23}, "`num_heads` is 23; with head_dim 64 that is not expand * hidden_size, 1536"),
    (MAMBA2_130M, {"time_step_limit": [0.1]}, "`time_step_limit` is [0.1]; two numbers are needed"),
    (SSM_130M, {"rms_norm": False}, "`rms_norm` is false; only rms norms are known"),
    (SSM_130M, {"ssm_cfg": {"layer": "Mamba3"}}, '`ssm_cfg`: `layer` is "Mamba3"; known are Mamba1, Mamba2'),
    (SSM_130M, {"ssm_cfg": {"d_staet": 16}}, "`ssm_cfg`: `d_staet` is 16; no spec can say that"),
    (SSM_130M, {"ssm_cfg": 3}, "`ssm_cfg` is 3; a part of a config is needed"),
    (SSM2_130M, {"attn_layer_idx": [3, 7]}, "`attn_layer_idx` is [3, 7]; layers of attention"),
    (SSM2_130M, {"d_intermediate": 1024}, "`d_intermediate` is 1024; an MLP behind each block is not known"),
    (SSM2_130M, {"ssm_cfg": {"layer": "Mamba2", "D_has_hdim": True}}, "`D_has_hdim` is true; no spec can say that"),
]


@pytest.mark.parametrize(("config", "keys", "told"), REFUSED)
def test_what_cannot_be_is_told_by_its_key(config: dict[str, Any], keys: dict[str, Any], told: str) -> None:
    with pytest.raises(SmrError) as error:
        facts_of_config(Config("config.json", config | keys))
    assert str(error.value).startswith("config.json: ")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"), [("{", "is no JSON text"), ("3", "holds no JSON object"), (" " * 2_000_000, "bytes, more than")]
)
def test_a_file_that_is_no_config(text: str, told: str, tmp_path: Path) -> None:
    assert read_config(tmp_path) is None
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(SmrError, match=told):
        read_config(tmp_path)


def test_nothing_outside_the_text_is_read(tmp_path: Path) -> None:
    """A config is data: what looks like a path in it is not followed."""
    (tmp_path / "config.json").write_text(
        json.dumps(MAMBA_130M | {"_name_or_path": "/etc/passwd", "auto_map": {"x": "y"}})
    )
    config = read_config(tmp_path)
    assert config is not None
    assert facts_of_config(config)[1] == facts_of_config(Config("config.json", MAMBA_130M))[1]
