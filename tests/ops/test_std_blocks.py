"""The blocks of the standard library against whole layers of the official code (S5, Mega, SPADE), weights carried over.

In these files streams are (batch, L, width); `golden/README.md` says more.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import smrdsl
from smrdsl.runtime.model import CompiledModel

GOLDEN = Path(__file__).parent / "golden"
S5 = sorted(p.stem for p in GOLDEN.glob("s5_layer_*.npz"))
MEGA = sorted(p.stem for p in GOLDEN.glob("mega_layer_*.npz"))
SPADE = sorted(p.stem for p in GOLDEN.glob("spade_layer_*.npz"))


def read(name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The options of a case, and its arrays."""
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        config = json.loads(str(file["config"]))
        return config, {key: torch.tensor(file[key]) for key in file.files if file[key].dtype.kind in "fc"}


def pairs(z: Tensor) -> Tensor:
    return torch.view_as_real(z.to(torch.complex128))


def norm_of(g: dict[str, Tensor], path: str, prefix: str = "norm_", scale: str = "weight") -> dict[str, Tensor]:
    """The tensors of a norm under `path`."""
    names = {"weight": scale, "g": "scalar", **{n: n for n in ("bias", "running_mean", "running_var")}}
    return {f"{path}.{ours}": g[prefix + theirs] for ours, theirs in names.items() if prefix + theirs in g}


def check(text: str, weights: dict[str, Tensor], x: Tensor, wanted: Tensor, step: bool) -> None:
    """Whole sequences and single steps give the published outputs; every weight of ours has its published value."""
    model = smrdsl.layer(text, x.shape[2]).double().eval()
    model.load_state_dict({k: v.reshape(model.state_dict()[k].shape) for k, v in weights.items()})
    with torch.no_grad():
        assert apart(model(x), wanted) < 1e-9
        if step:
            assert apart(stepped(model, x), wanted) < 1e-9
        assert apart(model.float()(x.float()).double(), wanted) < 1e-5


def stepped(model: CompiledModel, x: Tensor) -> Tensor:
    state, outputs = model.initial_state(x.shape[0]), []
    for u in x.unbind(1):
        y, state = model.step(u, state)
        outputs.append(y)
    return torch.stack(outputs, 1)


def apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    assert found.shape == wanted.shape
    return float((found - wanted).abs().max() / max(1.0, float(wanted.abs().max())))


@pytest.mark.parametrize("name", S5)
def test_s5_layer(name: str) -> None:
    config, g = read(name)
    act, two_way = config["activation"].replace("gelu1", "gelu"), config["bidir"]
    kind = "batch" if config["batchnorm"] else "layer, eps=1e-6"
    block = f"s5_block({config['size']}, act={act}, blocks={config['J']}, bidirectional={str(two_way).lower()})"
    block = f"residual {{ norm({kind})  {block} }}" if config["prenorm"] else f"residual {{ {block} }}  norm({kind})"
    at = "s5_block"
    weights = norm_of(g, "norm", scale="scale") | {
        f"{at}.s5.Lambda_re": g["raw_Lambda_re"],
        f"{at}.s5.Lambda_im": g["raw_Lambda_im"],
        f"{at}.s5.B": g["raw_B"],
        f"{at}.s5.C": pairs(g["C"]),
        f"{at}.s5.D": g["D"],
        f"{at}.s5.log_step": g["log_step"],
    }
    if act == "full_glu":
        weights[f"{at}.glu.weight"] = torch.cat([g["W_out1"], g["W_out2"]])
        weights[f"{at}.glu.bias"] = torch.cat([g["b_out1"], g["b_out2"]])
    elif act != "gelu":
        weights[f"{at}.gate.weight"], weights[f"{at}.gate.bias"] = g["W_out2"], g["b_out2"]
    check(block, weights, g["u"], g["y"], step=not two_way)


@pytest.mark.parametrize("name", MEGA)
def test_mega_layer(name: str) -> None:
    c, g = read(name)
    d, z, inner = c["D"], c["Z"], c["Hd"]
    chunk = "none" if c["chunk"] < 0 else c["chunk"]
    kind = {"layernorm": "layer", "batchnorm": "batch", "scalenorm": "scale", "rmsnorm": "rms"}[c["norm"]]
    longest = c["maxp"] if c["rel"] == "simple" and c["chunk"] < 0 else "none"
    text = (
        f"mega(state={c['N']}, qk={z}, inner={inner}, act={c['act']}, bias={c['rel']}, chunk={chunk}, kind={kind}, "
        f"causal={str(c['causal']).lower()}, max_length={longest}, prenorm={str(c['prenorm']).lower()})"
    )
    assert c["bidir"] == (not c["causal"])
    u, zs, r, hx = (slice(*b) for b in ((0, d), (d, d + z), (d + z, d + z + inner), (d + z + inner, None)))
    linear = {
        "linear": (g["W_v"], g["b_v"]),
        "linear_2": (g["W_mx"][u], g["b_mx"][u]),
        "linear_3": (g["W_mx"][zs], g["b_mx"][zs]),
        "linear_4": (g["W_mx"][r], g["b_mx"][r]),
        "linear_5": (g["W_h"], g["b_h"]),
        "linear_6": (g["W_mx"][hx], g["b_mx"][hx]),
    }
    weights = norm_of(g, "mega.norm" if c["prenorm"] else "mega.norm_2")
    for path, (weight, b) in linear.items():
        weights |= {f"mega.{path}.weight": weight, f"mega.{path}.bias": b}
    weights |= {f"mega.ema.{n}": g[f"ema_{n}"] for n in ("delta", "alpha", "beta", "gamma", "omega")}
    weights |= {f"mega.attend.{n}": g[n] for n in ("rel_pos_bias", "rel_alpha", "rel_beta") if n in g}
    for path, row in (("affine", 0), ("affine_2", 1)):
        weights |= {f"mega.{path}.scale": g["gamma"][row], f"mega.{path}.shift": g["beta"][row]}
    check(text, weights, g["x"], g["y"], step="step_y" in g)


def test_mega_feed_forward() -> None:
    c, g = read("mega_ffn_prenorm")
    weights = {f"mega_ffn.mlp.{n}": g[n] for n in ("W1", "b1", "W2", "b2")} | norm_of(g, "mega_ffn.norm")
    check(f"mega_ffn({c['Hd']})", weights, g["x"], g["y"], step=True)


@pytest.mark.parametrize("name", SPADE)
def test_spade_layer(name: str) -> None:
    c, g = read(name)
    before = c["normalize_before"]
    positions = "t5" if c["rel"] else "none"
    size = f"heads={c['heads']}, window={c['radius'] + 1}, positions={positions}, prenorm={str(before).lower()}"
    local = name.endswith("localonly")
    top = "spade_local" if local else "spade"
    layer = f"spade(state={c['N']}, combine={c.get('combine')}, weight={c['s4w']}, {size})"
    layer = f"spade_local({size})" if local else layer
    feed = f"mlp({c['ffn']}, act={c['act']})"
    feed = f"residual {{ norm(layer)  {feed} }}" if before else f"residual {{ {feed} }}  norm(layer)"
    concat = c.get("combine") == "concat" and not local
    attention = f"{top}.branch.1.near" if concat else f"{top}.near"
    weights = {f"{attention}.{n}": g[f"attn_{n}"] for n in ("W_q", "W_k", "W_v", "W_o")}
    weights |= {f"{attention}.rel_bias": g["attn_rel_bias"]} if c["rel"] else {}
    weights |= {f"mlp.{ours}": g[theirs] for ours, theirs in zip(("W1", "b1", "W2", "b2"), FEED, strict=True)}
    weights |= norm_of(g, f"{top}.norm" if before else f"{top}.norm_2", "ln1_") | norm_of(g, "norm", "ln2_")
    if not local:
        weights |= {f"{top}.branch.0.far.{n}" if concat else f"{top}.far.{n}": t for n, t in s4(g).items()}
    if concat:
        weights |= norm_of(g, f"{top}.branch.0.norm", "norm_global_")
        weights |= norm_of(g, f"{top}.branch.1.norm", "norm_local_")
        weights |= {f"{top}.linear.weight": g["W_agg"], f"{top}.linear.bias": g["b_agg"]}
    elif c.get("combine") == "add" and not local:
        weights |= norm_of(g, f"{top}.far_norm", "norm_global_") | norm_of(g, f"{top}.near_norm", "norm_local_")
    check(f"{layer}  {feed}", weights, g["x"], g["y"], step=True)


FEED = ("W_fc1", "b_fc1", "W_fc2", "b_fc2")


def s4(g: dict[str, Tensor]) -> dict[str, Tensor]:
    """SPADE's S4 as ours stores it."""
    lam = g["s4_Lambda"]
    return {
        "log_dt": g["s4_dt"][:, 0].log(),
        "log_A_real": (-lam.real).log(),
        "A_imag": -lam.imag,
        "B": pairs(g["s4_B"]),
        "P": pairs(g["s4_P"]),
        "C": pairs(g["s4_C"][0]),
        "D": g["s4_D"][0],
    }
