"""The strategy `recurrent` of s6 where it is a native kernel: the same numbers as by its scan, in every use."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels import native_calls, native_selective
from smrdsl.lowering.layers import draw_for
from smrdsl.ops.registry import operators
from smrdsl.ops.s6 import layer as s6
from tests.native.kernels import close, needs_library

pytestmark = needs_library


def a_layer(strategy: str = "recurrent", width: int = 19, **given: Any) -> nn.Module:
    op = operators()["s6"]
    params, inputs = op.params(**given), (StreamType.real(width),)
    layer = op.load_layer()(params, inputs, op.infer(params, inputs))
    layer.reset_parameters(draw_for(0, "s6"))
    layer.strategy = strategy
    return layer


def signal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


class Counted:
    """How often the kernel ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs, inner = 0, native_selective.FORWARD

        def counting(*arguments: Any) -> None:
            self.runs += 1
            inner(*arguments)

        monkeypatch.setattr(native_selective, "FORWARD", counting)


def of_layer(layer: nn.Module, strategy: str, x: Tensor, **gaps: Any) -> list[Tensor]:
    layer.strategy = strategy
    x = x.detach().requires_grad_()
    y = layer(x, **gaps)
    return [y, *torch.autograd.grad((y * signal(*y.shape)).sum(), [x, *layer.parameters()])]


@pytest.mark.parametrize("steps", ["both", "decay"])
@pytest.mark.parametrize("gaps", ["none", "rate", "dt", "both"])
def test_the_layer_is_its_scan(steps: str, gaps: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x, seen = a_layer(steps=steps, state=5), signal(2, 70, 19), Counted(monkeypatch)
    dt = {"dt": signal(2, 70).abs()} if gaps in ("dt", "both") else {}
    rate = {"rate": 0.5} if gaps == "rate" else {"rate": torch.tensor(2.0)} if gaps == "both" else {}
    for p, q in zip(
        of_layer(layer, "recurrent", x, **dt, **rate), of_layer(layer, "scan", x, **dt, **rate), strict=True
    ):
        close(p, q, 1e-4)
    assert seen.runs == 1


def test_chunks_and_steps_are_the_whole() -> None:
    layer, x, h = a_layer(state=5), signal(3, 150, 19), torch.zeros(3, 19, 5)
    dt = signal(3, 150).abs()
    whole, outputs, at = layer(x, dt=dt), [], 0
    for chunk in x.split([0, 1, 64, 5, 80], 1):
        y, h = layer.extend(chunk, h, dt=dt[:, at : at + chunk.shape[1]])  # type: ignore[operator]
        outputs.append(y)
        at += chunk.shape[1]
    close(torch.cat(outputs, 1), whole, 1e-4)
    g = torch.zeros(3, 19, 5)
    for t in range(40):
        y, g = layer.step(x[:, t], g, dt=dt[:, t])  # type: ignore[operator]
        close(y, whole[:, t], 1e-4)


def test_a_step_of_many_states_is_native(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x, h, gaps = a_layer(state=5), signal(3, 19), signal(3, 19, 5), signal(3).abs()
    wanted, seen = layer.step(x, h, dt=gaps), Counted(monkeypatch)  # type: ignore[operator]
    assert seen.runs == 0
    monkeypatch.setattr(s6, "MANY", h.numel())
    for p, q in zip(layer.step(x, h, dt=gaps), wanted, strict=True):  # type: ignore[operator]
        close(p, q)
    assert seen.runs == 1


@pytest.mark.parametrize("case", ["float64", "learned gaps", "no library", "torch.func"])
def test_what_the_kernel_cannot_do_is_left_to_torch(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x, seen = a_layer(state=3), signal(2, 20, 19), Counted(monkeypatch)
    if case == "float64":
        layer.double()(x.double())
    elif case == "learned gaps":
        dt = signal(2, 20).abs().requires_grad_()
        (found,) = torch.autograd.grad(layer(x, dt=dt).sum(), dt)
        assert found.any()
    elif case == "no library":
        monkeypatch.setattr(native_calls, "THERE", False)
        layer(x)
    else:
        torch.func.grad(lambda u: layer(u).sum())(x)
    assert seen.runs == 0


def test_half_precision_runs_in_float32_inside() -> None:
    layer, x = a_layer(state=5), signal(2, 40, 19)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    close(y.float(), layer(x), 3e-2)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_torch_compile_sees_through(backend: str) -> None:
    layer, x = a_layer(state=5), signal(2, 70, 19)
    wanted = of_layer(layer, "recurrent", x)
    compiled = torch.compile(layer, fullgraph=True, backend=backend)
    x = x.requires_grad_()
    y = compiled(x)
    found = [y, *torch.autograd.grad((y * signal(*y.shape)).sum(), [x, *layer.parameters()])]
    for p, q in zip(found, wanted, strict=True):
        close(p, q)


def test_an_exported_graph_runs_without_smrdsl() -> None:
    layer, x = a_layer(state=3), signal(2, 20, 19)
    exported = torch.export.export(layer, (x,))
    assert not any("smrdsl" in str(node.target) for node in exported.graph.nodes)
    close(exported.module()(x), layer(x), 1e-4)
