"""lru against numbers of another implementation (SforAiDl/lrnnx), and in its promises.

Golden arrays: x, y (B, L, H); nu_log, theta_log, gamma_log (N); B_re, B_im (N, H); C_re, C_im (H, N); states (B, N).
"""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

import smrdsl
from smrdsl.ops.contract import Range
from smrdsl.ops.lru import LruParams
from smrdsl.ops.registry import operators
from tests.ops.mimo_layers import STRATEGIES, apart, gradients, make, numbers

GOLDEN = Path(__file__).parent / "golden" / "lru.npz"


def eigenvalues(layer: nn.Module) -> Tensor:
    return torch.exp(torch.complex(-torch.exp(layer.nu_log), torch.exp(layer.theta_log))).detach()


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    with np.load(GOLDEN, allow_pickle=False) as file:
        return {key: torch.tensor(file[key]) for key in file.files if file[key].dtype.kind in "fc"}


def published(g: dict[str, Tensor], dtype: torch.dtype) -> nn.Module:
    layer = make("lru", 4, state=6)
    values = {name: g[name] for name in ("nu_log", "theta_log", "gamma_log", "D")}
    values |= {name: torch.stack([g[f"{name}_re"], g[f"{name}_im"]], -1) for name in ("B", "C")}
    layer.load_state_dict(values)
    return layer.to(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
@torch.no_grad()
def test_the_numbers_are_the_published_ones(golden: dict[str, Tensor], dtype: torch.dtype, tolerance: float) -> None:
    layer = published(golden, dtype)
    u, wanted = golden["x"].to(dtype), torch.cat([golden["final_state"].real, golden["final_state"].imag], -1)
    assert apart(torch.view_as_real(eigenvalues(layer)), torch.view_as_real(golden["Lambda"])) < tolerance
    for strategy in STRATEGIES:
        layer.strategy = strategy
        y, after = layer.extend(u, torch.zeros(2, 12, dtype=dtype))
        assert apart(y, golden["y"]) < tolerance
        assert apart(layer(u), golden["y"]) < tolerance
        assert apart(after, wanted) < tolerance
    x, outputs = torch.zeros(2, 12, dtype=dtype), []
    for t in range(u.shape[1]):
        y, x = layer.step(u[:, t], x)
        outputs.append(y)
    assert apart(torch.stack(outputs, 1), golden["step_y"]) < tolerance
    assert apart(x, wanted) < tolerance


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_gradients_are_those_of_the_definition(strategy: str) -> None:
    layer = make("lru", 3, state=5)
    layer.strategy = strategy
    u, mix = numbers(2, 40, 3), numbers(2, 40, 3, seed=9)
    inputs = u.clone().requires_grad_()
    y = operators()["lru"].load_reference()(layer, inputs)
    wanted = torch.autograd.grad(y, [inputs, *layer.parameters()], mix)
    for found, exact in zip(gradients(layer, u), wanted, strict=True):
        assert apart(found, exact) < 1e-9


@pytest.mark.parametrize("ring", [(0.9, 0.999), (0.0, 1.0), (0.5, 0.5)])
def test_lambda_starts_on_its_ring(ring: tuple[float, float]) -> None:
    low, high = ring
    layer = make("lru", 4, state=4000, radius=Range(low=low, high=high), phase=0.5)
    lam = eigenvalues(layer)
    assert (lam.abs() >= low - 1e-12).all()
    assert (lam.abs() <= high + 1e-12).all()
    assert ((lam.angle() > 0) & (lam.angle() < 0.5)).all()
    middle = math.sqrt((low**2 + high**2) / 2)
    assert (lam.abs() <= middle + 1e-9).double().mean().item() == pytest.approx(1.0 if low == high else 0.5, abs=0.03)
    gamma = torch.exp(layer.gamma_log.detach())
    assert torch.allclose(gamma.square() + lam.abs().square(), torch.ones(4000).double())
    assert layer.B.detach().var().item() == pytest.approx(1 / 8, rel=0.05)
    assert layer.C.detach().var().item() == pytest.approx(1 / 4000, rel=0.05)


def test_whatever_is_learned_it_decays() -> None:
    layer = make("lru", 2, state=50)
    with torch.no_grad():
        layer.nu_log.copy_(5 * numbers(50) - 2)
    assert (eigenvalues(layer).abs() < 1).all()


@pytest.mark.parametrize("strategy", ["scan", "conv"])
def test_float32_holds_for_long_sequences(strategy: str) -> None:
    layer = make("lru", 2, torch.float32, state=16, radius=Range(low=0.9, high=0.9999))
    exact = copy.deepcopy(layer).double()
    layer.strategy = strategy
    u = numbers(1, 16_384, 2)
    assert apart(layer(u.float()), exact(u)) < 1e-5
    assert all(gradient.isfinite().all() for gradient in gradients(layer, u.float()))


def test_half_precision_streams_are_computed_in_float32() -> None:
    layer = make("lru", 4, torch.float32, state=8)
    u = numbers(2, 40, 4).bfloat16()
    wanted = layer(u.float())
    with torch.autocast("cpu", torch.bfloat16):
        y, x = layer.extend(u, torch.zeros(2, 16))
        assert apart(layer(u.float()), wanted) < 1e-5
    assert (y.dtype, x.dtype) == (torch.bfloat16, torch.float32)
    assert apart(y, wanted) < 1e-2


def test_one_exported_graph_takes_any_batch_and_length() -> None:
    layer = make("lru", 3, state=4)
    free = {0: torch.export.Dim("batch", min=2), 1: torch.export.Dim("length", min=2)}
    program = torch.export.export(layer, (numbers(3, 20, 3),), dynamic_shapes=(free,)).module()
    for batch, length in ((2, 2), (5, 7), (2, 300)):
        u = numbers(batch, length, 3)
        assert apart(program(u), layer(u)) < 1e-9


def test_a_timed_stream_is_refused() -> None:
    with pytest.raises(smrdsl.SpecError, match="`lru` cannot use the gaps between samples"):
        smrdsl.compile_text("model m { signal(channels=3, timed=true)  lru(state=4) }")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"radius": Range(low=0.5, high=1.1)},
            "Lambda lies within the unit circle but not at 0, and the radii are 0.5..1.1",
        ),
        ({"radius": Range(low=-0.5, high=0.9)}, "within the unit circle"),
        ({"radius": Range(low=0.0, high=0.0)}, "not at 0"),
        ({"radius": Range(low=1.0, high=1.0)}, "within the unit circle"),
        ({"phase": 0.0}, "greater than 0"),
        ({"state": 0}, "greater than 0"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LruParams(**arguments)
