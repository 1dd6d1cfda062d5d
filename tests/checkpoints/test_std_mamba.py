"""The library's mamba and mamba2 against numbers from the official blocks (state-spaces/mamba, in float64).

The weights go in through the checkpoint's own keys, as `weights=` takes them. Theirs and ours keep the same states: the
last inputs of the convolution, (B, channels, K) with the oldest not needed any more, and h.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import smrdsl
from smrdsl.ops.manual import written

GOLDEN = Path(__file__).parent.parent / "ops" / "golden"
CASES = ["mamba1_mixer", *sorted(p.stem for p in GOLDEN.glob("mamba2_mixer_*.npz"))]
MODULES = ("in_proj", "conv1d", "x_proj", "dt_proj", "out_proj", "norm")
TOLERANCE = {"float64": 1e-9, "float32": 1e-5}


def read(name: str) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """The options of a case, its weights by their keys in a checkpoint, and the other arrays."""
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    config = json.loads(str(arrays.pop("config")))
    arrays.pop("meta")
    weights = {key[2:]: torch.tensor(a) for key, a in arrays.items() if key.startswith("w_")}
    for module in MODULES:
        weights = {key.replace(f"{module}_", f"{module}.", 1): w for key, w in weights.items()}
    return config, weights, {key: torch.tensor(a) for key, a in arrays.items() if not key.startswith("w_")}


def call(name: str, config: dict[str, Any]) -> str:
    """The component with the options of a case."""
    given = {"state": config["N"], "conv": config["K"], "expand": config["E"]}
    if name.startswith("mamba1"):
        given |= {"dt_rank": config["R"]}
    else:
        given |= {"head": config["P"], "groups": config["G"]}
        given |= {key: config[key] for key in ("rmsnorm", "norm_before_gate") if key in config}
    component = "mamba" if name.startswith("mamba1") else "mamba2"
    return f"{component}({', '.join(f'{key}={written(value)}' for key, value in given.items())})"


def error(found: Tensor, wanted: Tensor) -> float:
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


def convolved(state: dict[str, Tensor]) -> Tensor:
    """What our convolutions remember, in the order of the published one: x, then B, then C."""
    *others, x = (value for key, value in state.items() if ".conv1d" in key)
    return torch.cat([x, *others], -1).mT


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", CASES)
def test_a_block_is_the_published_one(name: str, dtype: str, tmp_path: Path) -> None:
    config, weights, arrays = read(name)
    save_file(weights, tmp_path / "block.safetensors")
    text, file = call(name, config), tmp_path / "block.safetensors"
    model = smrdsl.layer(text, width=config["Dm"], weights=file, dtype=dtype, mode="infer")
    u = arrays["x"].to(getattr(torch, dtype))
    with torch.no_grad():
        y, state = model(u, return_state=True)
        assert error(y, arrays["y"]) < TOLERANCE[dtype]
        assert error(model(u), arrays["y"]) < TOLERANCE[dtype]
        stepped = model.initial_state(u.shape[0])
        for t in range(u.shape[1]):
            y_t, stepped = model.step(u[:, t], stepped)
            assert error(y_t, arrays["step_y"][:, t]) < 10 * TOLERANCE[dtype]  # of one step, which may be small
    for last in (state, stepped):
        assert error(convolved(last), arrays["conv_state"][..., 1:]) < TOLERANCE[dtype]
        h = next(value for key, value in last.items() if key.endswith(".h"))
        assert error(h, arrays["ssm_state"]) < TOLERANCE[dtype]


@pytest.mark.parametrize("component", ["mamba", "mamba2"])
def test_an_smr_before_the_core_stands_on_the_inner_stream(component: str) -> None:
    """In mamba all of s6 sees it; in mamba2 x alone, and Delta, B and C come from the block's input."""
    head = "(head=4)" if component == "mamba2" else ""
    text = f'import "std/{component}.smr" model m {{ signal(channels=8) {component}{head} place smr before ssm }}'
    g = smrdsl.compile_text(text).graph
    (core,) = (key for key, node, _ in g if "ssm" in node.op.families)
    (smr,) = (key for key, node, _ in g if node.op.name == "smr")
    assert g.node(g.inputs(smr)[0]).op.name == "silu"
    assert g.node(smr).type.width == 16
    assert [source == smr for source in g.inputs(core)] == [True, False, False, False][: len(g.inputs(core))]


def test_heads_that_do_not_divide_are_told_with_the_place_of_use() -> None:
    (only,) = smrdsl.check_text('import "std/mamba2.smr" model m { signal(channels=8) mamba2(head=5) }')
    assert "16 channels are no whole number of heads of 5" in only.message
    assert [related.span.text for related in only.related] == ["mamba2(head=5)"]
