"""Layers on a device of Triton's: which kernels they run there, and that these leave what float64 does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smrdsl.kernels import native_calls, triton_calls
from tests.native.test_layers import a_layer
from tests.triton.where import DEVICE, TILE, close, normal, triton

__all__ = ["triton"]
WIDTH = 3
RUNS: list[tuple[str, dict[str, Any], str]] = [
    ("s4d", {"state": 4}, "diagonal"),
    ("s4d", {"state": 4, "bidirectional": True}, "diagonal"),
    ("ema", {"state": 2}, "diagonal"),
    ("s5", {"state": 4}, "modes"),
    ("lru", {"state": 3}, "modes"),
    ("s6", {"state": 2}, "selective"),
    ("smr", {"memory": 3}, "taps"),
    ("conv1d", {"kernel": 3, "depthwise": True}, "taps"),
]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the kernels that ran, where there are none for CPUs."""
    names, inner = set[str](), triton_calls.launch

    def noting(name: str, *arguments: Any) -> None:
        names.add(name)
        inner(name, *arguments)

    monkeypatch.setattr(triton_calls, "launch", noting)
    monkeypatch.setattr(native_calls, "THERE", False)
    return names


def results(layer: nn.Module, u: Tensor) -> list[Tensor]:
    """The output, and the gradients of everything that went in."""
    u = u.detach().requires_grad_()
    y = layer(u)
    grads = torch.autograd.grad((y * normal(*y.shape, seed=7)).sum(), [u, *layer.parameters()], materialize_grads=True)
    return [y, *grads]


@pytest.mark.parametrize(("name", "given", "kernel"), RUNS)
def test_layers_run_the_kernels_and_agree(name: str, given: dict[str, Any], kernel: str, launched: set[str]) -> None:
    layer, u = a_layer(name, given, WIDTH).to(DEVICE), normal(1, TILE + 1, WIDTH)
    found = results(layer, u)
    assert launched == {f"{kernel}_forward", f"{kernel}_backward"}
    launched.clear()
    layer.strategy = "scan"
    for mine, wanted in zip(found, results(layer.double(), u.double()), strict=True):
        assert mine.dtype == torch.float32
        close(mine, wanted, 1e-4)
    assert not launched


@pytest.mark.parametrize("strategy", ["scan", "conv"])
def test_no_kernel_runs_where_none_is_asked_for(strategy: str, launched: set[str]) -> None:
    a_layer("s4d", {"state": 4}, WIDTH, strategy).to(DEVICE)(normal(1, TILE + 1, WIDTH))
    assert not launched


def test_systems_of_low_rank_are_left_to_torch(launched: set[str]) -> None:
    layer, u = a_layer("s4", {"state": 4}, WIDTH).to(DEVICE), normal(1, TILE + 1, WIDTH)
    y = layer(u)
    assert not launched
    layer.strategy = "scan"
    close(y, layer.double()(u.double()), 1e-4)


@pytest.mark.parametrize("name", ["s4d", "s6"])
def test_chunks_are_the_whole(name: str, launched: set[str]) -> None:
    layer, u = a_layer(name, {"state": 2}, WIDTH).to(DEVICE), normal(2, TILE + 2, WIDTH)
    start = normal(*((2, *layer.A_log.shape) if name == "s6" else (2, WIDTH, 2)), seed=1)
    whole, last = layer.extend(u, start)
    outputs, state = [], start
    for chunk in u.split([2, TILE], 1):
        y, state = layer.extend(chunk, state)
        outputs.append(y)
    assert launched
    close(torch.cat(outputs, 1), whole)
    close(state, last)


def test_torchs_own_transforms_run_without(launched: set[str]) -> None:
    layer, u = a_layer("smr", {"memory": 2}, WIDTH).to(DEVICE), normal(1, 3, WIDTH)
    torch.func.grad(lambda u: layer(u).sum())(u)
    assert not launched


def test_a_kernel_is_there_for_every_name() -> None:
    from importlib import import_module

    for module, function in triton_calls.PLACES.values():
        assert callable(getattr(import_module(f"smrdsl.kernels.{module}"), function))
