"""s5 against numbers from the official implementation (lindermanlab/S5), against s5-pytorch, and its initial values.

Golden arrays: u, y (B, L, H); Lambda, log_step (P); B (P, H); C (H, P or 2P); states (B, P). `golden/README.md` says
more.
"""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from smrdsl.ops.s4.hippo import nplr, spectrum
from tests.ops.mimo_layers import STRATEGIES, apart, make, numbers

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(p.stem for p in GOLDEN.glob("s5_*.npz") if not p.stem.startswith("s5_layer"))
TRUNC = {"trunc_standard_normal": "trunc_normal"}


def read(name: str) -> dict[str, Any]:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    config = json.loads(str(arrays.pop("config")))
    return {key: torch.tensor(a) for key, a in arrays.items() if a.dtype.kind in "fc"} | {"config": config}


def published(g: dict[str, Any], dtype: torch.dtype = torch.float64) -> tuple[nn.Module, dict[str, Any]]:
    """Our layer with the parameters of a golden file, and how it is timed there."""
    config = g["config"]
    layer = make(
        "s5",
        config["H"],
        state=config["size"],
        blocks=config["J"],
        c_init=TRUNC.get(config["C_init"], config["C_init"]),
        disc=config["discretization"],
        conj=config["conj"],
        clip=config["clip"],
        bidirectional=config["bidir"],
    )
    values = {name: g[f"raw_{name}"] for name in ("Lambda_re", "Lambda_im", "B")}
    values |= {"C": torch.view_as_real(g["C"]), "D": g["D"], "log_step": g["log_step"]}
    layer.load_state_dict(values)
    timing: dict[str, Any] = {"rate": config["rescale"]} if config["rescale"] != 1 else {}
    if config["irregular"]:
        timing["dt"] = g["fwd_timesteps"].to(dtype)
    return layer.to(dtype), timing


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_the_output_is_the_published_one(name: str, strategy: str) -> None:
    g = read(name)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        layer, timing = published(g, dtype)
        layer.strategy = strategy
        assert apart(layer(g["u"].to(dtype), **timing), g["y"]) < tolerance, dtype


@pytest.mark.parametrize("name", [name for name in CASES if "bidir" not in name])
@torch.no_grad()
def test_the_state_is_the_published_one(name: str) -> None:
    g = read(name)
    wanted = torch.cat([g["final_state"].real, g["final_state"].imag], -1)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        layer, timing = published(g, dtype)
        gaps = timing.pop("dt", None)
        u, x = g["u"].to(dtype), torch.zeros(wanted.shape, dtype=dtype)
        y, after = layer.extend(u, x, **timing, **({} if gaps is None else {"dt": gaps}))
        assert apart(y, g["y"]) < tolerance
        assert apart(after, wanted) < tolerance
        for t in range(u.shape[1]):
            y_t, x = layer.step(u[:, t], x, **timing, **({} if gaps is None else {"dt": gaps[:, t]}))
            assert (y_t - g["y"][:, t]).abs().max() < tolerance * g["y"].abs().max()
        assert apart(x, wanted) < tolerance


def test_the_gaps_of_the_golden_files_are_the_convention() -> None:
    """Forwards a gap is the one before a sample, 1 before the first; backwards the one after it, 1 after the last."""
    g = read("s5_irregular_bidir")
    one = torch.ones(2, 1, dtype=torch.float64)
    assert torch.equal(g["fwd_timesteps"], torch.cat([one, g["integration_timesteps"]], 1))
    assert torch.equal(g["bwd_timesteps"], torch.cat([g["fwd_timesteps"][:, 1:], one], 1))


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_the_spectrum_is_that_of_hippo(n: int) -> None:
    """Real part -1/2, in conjugate pairs, and V unitary; half of it is what s4 keeps."""
    lam, v = spectrum("legs", n)
    assert np.allclose(lam.real, -0.5)
    assert np.allclose(np.sort(lam.imag), np.sort(-lam.imag), atol=1e-9)
    assert np.allclose(v.conj().T @ v, np.eye(n))
    if n % 2 == 0:
        assert np.array_equal(nplr("legs", n).lam, lam[: n // 2])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("c_init", ["trunc_normal", "lecun_normal", "complex_normal"])
@pytest.mark.parametrize("conj", [False, True])
def test_initial_values_have_the_published_variances(conj: bool, c_init: str, bidirectional: bool) -> None:
    """The squares of entries of B V^-1 and C V, whose bases are orthonormal, are those of real B and complex C."""
    n, width = 128, 96
    layer = make("s5", width, state=n, blocks=4, conj=conj, c_init=c_init, bidirectional=bidirectional)
    assert layer.B.detach().square().sum(-1).mean().item() == pytest.approx(1 / n, rel=0.05)
    wanted = {"trunc_normal": 2 / n, "lecun_normal": 2 / (n * width), "complex_normal": 1.0}[c_init]
    assert layer.C.detach().square().sum(-1).mean().item() == pytest.approx(wanted, rel=0.05)
    assert layer.D.detach().square().mean().item() == pytest.approx(1, rel=0.5)
    assert layer.log_step.min() > math.log(0.001)
    assert layer.log_step.max() < math.log(0.1)
    size = n // 4
    for part in (layer.Lambda_re, layer.Lambda_im):
        first, *others = part.detach().chunk(4)
        assert all(torch.equal(first, other) for other in others)
    assert torch.equal(layer.Lambda_im.detach()[: size // 2], torch.from_numpy(nplr("legs", size).lam.imag))


@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_the_same_numbers_as_s5_pytorch() -> None:
    """Its S5 stores all states and has no blocks by default; its weights go over as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = pytest.importorskip("s5", reason="s5-pytorch is not installed").S5
    torch.manual_seed(0)
    theirs = peer(6, state_width=10, bcInit="dense")
    seq, ours = theirs.seq, make("s5", 6, torch.float32, state=10, conj=False)
    values = {"Lambda_re": seq.Lambda.real, "Lambda_im": seq.Lambda.imag, "B": seq.B, "D": seq.D}
    ours.load_state_dict(values | {"log_step": seq.log_step, "C": torch.view_as_real(seq.C.resolve_conj())})
    u = numbers(3, 50, 6).float()
    assert apart(ours(u), theirs(u)) < 1e-5
    assert apart(ours(u, rate=2.0), theirs(u, step_scale=2.0)) < 1e-5
    x, state = torch.zeros(1, 20), torch.zeros(10, dtype=torch.complex64)
    for t in range(20):
        wanted, state = seq.forward_rnn(u[0, t], state)
        found, x = ours.step(u[:1, t], x)
        assert (found[0] - wanted).abs().max() < 1e-5
    assert apart(x[0], torch.cat([state.real, state.imag])) < 1e-5
