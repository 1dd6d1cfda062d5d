"""s4 and s4d against numbers from the official implementation (state-spaces/s4, commit e757cef, in float64).

Its arrays: u and y are (batch, H, L), Lambda, B and dt (H, N/2), P (rank, H, N/2), C (directions, H, N/2), D (1, H);
states are complex pairs. `golden/README.md` says more.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import smrdsl
from smrdsl.core.types import StreamType
from smrdsl.ops.registry import operators
from smrdsl.ops.s4.hippo import nplr

GOLDEN = Path(__file__).parent / "golden"
S4D = sorted(p.stem for p in GOLDEN.glob("s4d_*.npz") if p.stem != "s4d_minimal_layer")
S4 = sorted(p.stem for p in GOLDEN.glob("s4_*_L3?.npz"))
BLOCKS = sorted(p.stem for p in GOLDEN.glob("s4_block_*.npz"))
STRATEGIES = ("conv", "scan", "recurrent")


def read(name: str) -> dict[str, Any]:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    config = json.loads(str(arrays.pop("config")))
    return {key: torch.tensor(a) for key, a in arrays.items() if a.dtype.kind in "fc"} | {"config": config}


def pairs(z: Tensor) -> Tensor:
    return torch.view_as_real(z.to(torch.complex128))


def real_state(z: Tensor) -> Tensor:
    """Complex pairs (B, H, N/2) as our state (B, H, N): real parts, then imaginary ones."""
    return torch.cat([z.real, z.imag], -1)


def layer(op: str, g: dict[str, Any], dtype: torch.dtype = torch.float64, **more: object) -> nn.Module:
    """Our layer with the published parameters; every channel has its own A and B, which repeats what was shared."""
    channels, half = g["Lambda"].shape
    directions = g["C"].shape[0]
    operator = operators()[op]
    params = operator.params(state=2 * half, copies=channels, bidirectional=directions == 2, **more)
    stream = (StreamType.real(channels),)
    made = operator.load_layer()(params, stream, stream[0]).double()
    c = pairs(g["C"]) if directions == 2 else pairs(g["C"][0])
    values = {
        "log_dt": g["dt"][:, 0].log(),
        "log_A_real": (-g["Lambda"].real).log(),
        "A_imag": -g["Lambda"].imag,
        "B": pairs(g["B"]),
        "C": c,
        "D": g["D"][0],
    }
    if "P" in g:
        values["P"] = pairs(g["P"])
    made.load_state_dict(values)
    return made.to(dtype)


def s4d(g: dict[str, Any], dtype: torch.dtype = torch.float64) -> nn.Module:
    return layer("s4d", g, dtype, disc=g["config"]["disc"])


def s4(g: dict[str, Any], dtype: torch.dtype = torch.float64) -> nn.Module:
    return layer("s4", g, dtype, rank=g["config"]["rank"])


def apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    assert found.shape == wanted.shape
    return float((found.double() - wanted).abs().max() / max(1.0, float(wanted.abs().max())))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", [*S4D, *S4])
def test_the_output_is_the_published_one(name: str, strategy: str) -> None:
    g = read(name)
    make = s4d if name.startswith("s4d") else s4
    rate = float(g["rate"]) if "rate" in g else 1.0
    u, y = g["u"].transpose(1, 2), g["y"].transpose(1, 2)
    start = real_state(g["state0"]) if "state0" in g else None
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        core = make(g, dtype)
        core.strategy = strategy
        with torch.no_grad():
            if start is None:
                found = core(u.to(dtype), rate=rate)
            else:
                found, after = core.extend(u.to(dtype), start.to(dtype))
                assert apart(after, real_state(g["conv_next_state"])) < tolerance
        assert apart(found, y) < tolerance, dtype


@pytest.mark.parametrize("name", [n for n in [*S4D, *S4] if "step_y" in read(n)])
def test_stepping_gives_the_published_outputs_and_state(name: str) -> None:
    g = read(name)
    core = (s4d if name.startswith("s4d") else s4)(g)
    u = g["u"].transpose(1, 2)
    start = g.get("state0")
    zero = torch.zeros(u.shape[0], u.shape[2], 2 * g["Lambda"].shape[1]).double()
    x = zero if start is None else real_state(start)
    outputs = []
    with torch.no_grad():
        for t in range(u.shape[1]):
            y, x = core.step(u[:, t], x)
            outputs.append(y)
    assert apart(torch.stack(outputs, 1), g["step_y"].transpose(1, 2)) < 1e-9
    assert apart(x, real_state(g["final_state"])) < 1e-9


@pytest.mark.parametrize("name", BLOCKS)
def test_the_whole_published_block_written_in_the_language(name: str) -> None:
    """norm, core, GELU, linear + GLU and residual: S4Block in its residual wrapper, before or after the norm."""
    g = read(name)
    config = g["config"]
    dplr, before = config["mode"] == "dplr", "prenorm" in name
    kind = "batch" if name.endswith("batch") else "layer"
    both = str(bool(config["bidir"])).lower()
    disc = f", disc={'bilinear' if dplr else config['disc']}"
    core = f"core: {'s4' if dplr else 's4d'}(state={config['N']}, copies=width, bidirectional={both}{disc})"
    norm = f"scaled: norm({kind})"
    body = f"residual {{ {norm + '  ' if before else ''}{core}  gelu  mix: glu }} {'' if before else norm}"
    model = smrdsl.compile_text(f"model m {{ signal(channels={config['H']})  {body} }}", mode="infer", dtype="float64")
    own = layer("s4" if dplr else "s4d", g, disc="bilinear" if dplr else config["disc"]).state_dict()
    weights = {f"core.{k}": v for k, v in own.items()}
    weights |= {"mix.weight": g["W_out"], "mix.bias": g["b_out"]}
    weights |= {"scaled.weight": g["norm_weight"], "scaled.bias": g["norm_bias"]}
    if kind == "batch":
        weights |= {"scaled.running_mean": g["norm_running_mean"], "scaled.running_var": g["norm_running_var"]}
    missing = model.load_state_dict(weights, strict=False)
    assert not missing.unexpected_keys
    assert all("num_batches" in k for k in missing.missing_keys)
    with torch.no_grad():
        assert apart(model(g["x"]), g["y"]) < 1e-9
        if "step_y" in g:
            state, outputs = model.initial_state(len(g["x"])), []
            for t in range(g["x"].shape[1]):
                y, state = model.step(g["x"][:, t], state)
                outputs.append(y)
            assert apart(torch.stack(outputs, 1), g["step_y"]) < 1e-9


def test_the_minimal_layer_of_s4d() -> None:
    """models/s4/s4d.py, whose A_imag has the other sign."""
    g = read("s4d_minimal_layer")
    channels, half = g["A_imag"].shape
    text = f"model m {{ signal(channels={channels})  core: s4d(state={2 * half}, copies=width)  gelu  mix: glu }}"
    model = smrdsl.compile_text(text, mode="infer", dtype="float64")
    model.load_state_dict(
        {
            "core.log_dt": g["log_dt"],
            "core.log_A_real": g["log_A_real"],
            "core.A_imag": -g["A_imag"],
            "core.B": pairs(torch.ones(channels, half)),
            "core.C": pairs(g["C"]),
            "core.D": g["D"],
            "mix.weight": g["W_out"],
            "mix.bias": g["b_out"],
        }
    )
    with torch.no_grad():
        assert apart(model(g["u"].transpose(1, 2)), g["y"].transpose(1, 2)) < 1e-9


@pytest.mark.parametrize("init", ["legs", "legt", "fout"])
@pytest.mark.parametrize("n", [4, 8, 16])
def test_hippo_is_the_published_one(n: int, init: str) -> None:
    """What does not depend on the phases of eigenvectors, which are arbitrary; and the clipped B up to their sign."""
    g = read(f"hippo_N{n}")
    form = nplr(init, n, 2 if init == "legt" else 1)
    order = np.argsort(-form.lam.imag)[::-1]
    wanted = g[f"{init}_Lambda"].numpy()
    assert np.allclose(np.sort(form.lam.imag), np.sort(wanted.imag), atol=1e-9 * np.abs(wanted).max())
    assert np.allclose(form.lam[order].real, wanted[np.argsort(wanted.imag)].real, atol=1e-8)
    ours = np.sort(np.abs(form.clipped_b))
    assert np.allclose(ours, np.sort(np.abs(g[f"{init}_B_tilde_clipped"].numpy())), atol=1e-8)


IMPULSE = {
    "zoh": (0.3870112086, 0.3503411878, 0.3009849527, 0.2440201623, 0.1848089238),
    "bilinear": (0.3857665979, 0.3498772321, 0.3014449017, 0.2453624960, 0.1868283871),
}


@pytest.mark.parametrize("disc", IMPULSE)
def test_the_impulse_response_of_s4d_lin(disc: str) -> None:
    """N = 4, Delta = 0.1, B = C = 1, no D: figures computed by hand in numpy."""
    g = {
        "Lambda": torch.tensor([[-0.5, complex(-0.5, np.pi)]], dtype=torch.complex128),
        "B": torch.ones(1, 2, dtype=torch.complex128),
        "C": torch.ones(1, 1, 2, dtype=torch.complex128),
        "D": torch.zeros(1, 1).double(),
        "dt": torch.full((1, 2), 0.1).double(),
    }
    core = layer("s4d", g, disc=disc)
    u = torch.zeros(1, 5, 1).double()
    u[0, 0] = 1
    assert torch.allclose(core(u)[0, :, 0], torch.tensor(IMPULSE[disc]).double(), atol=1e-9)
