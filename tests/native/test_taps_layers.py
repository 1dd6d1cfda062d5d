"""smr and depthwise conv1d where their convolution is a native kernel: the same numbers as without it, in every use."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels import native_calls
from smrdsl.lowering.layers import draw_for
from smrdsl.ops.registry import operators
from tests.native.kernels import close, needs_library
from tests.native.test_taps import Counted

pytestmark = needs_library
LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("smr", {"memory": 4, "init": "random"}),
    ("smr", {"memory": 3, "kernel": 4, "gate": "tanh1", "bias": False, "init": "random"}),
    ("smr", {"memory": 2, "mix": "pointwise", "gate": "silu", "init": "random"}),
    ("smr", {"memory": 1, "gate": "identity", "init": "random"}),
    ("conv1d", {"kernel": 4}),
    ("conv1d", {"kernel": 1, "bias": False}),
]
every_layer = pytest.mark.parametrize(("name", "given"), LAYERS)
WIDTH = 19


def a_layer(name: str, given: dict[str, Any]) -> nn.Module:
    op = operators()[name]
    params, inputs = op.params(**given), (StreamType.real(WIDTH),)
    layer = op.load_layer()(params, inputs, op.infer(params, inputs))
    layer.reset_parameters(draw_for(0, name))
    return layer


def signal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def results(run: Any, layer: nn.Module, x: Tensor) -> list[Tensor]:
    x = x.detach().requires_grad_()
    y = run(x)
    return [y, *torch.autograd.grad((y * signal(*y.shape)).sum(), [x, *layer.parameters()])]


@every_layer
def test_the_layer_is_that_of_torch(name: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x, seen = a_layer(name, given), signal(2, 70, WIDTH), Counted(monkeypatch)
    found = results(layer, layer, x)
    assert seen.runs == 1
    monkeypatch.setattr(native_calls, "THERE", False)
    for p, q in zip(found, results(layer, layer, x), strict=True):
        close(p, q)
    assert seen.runs == 1


@every_layer
def test_chunks_and_steps_are_the_whole(name: str, given: dict[str, Any]) -> None:
    op, layer, x = operators()[name], a_layer(name, given), signal(3, 60, WIDTH)
    inputs = (StreamType.real(WIDTH),)
    params = op.params(**given)
    (kept,) = op.state(params, inputs, op.infer(params, inputs)).values()
    whole, outputs = layer(x), []
    state = torch.zeros(3, *kept.shape)
    for chunk in x.split([0, 1, 2, 40, 17], 1):
        y, state = layer.extend(chunk, state)  # type: ignore[operator]
        outputs.append(y)
    close(torch.cat(outputs, 1), whole)
    state = torch.zeros(3, *kept.shape)
    for t in range(12):
        y, state = layer.step(x[:, t], state)  # type: ignore[operator]
        close(y, whole[:, t])


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize(("name", "given"), [LAYERS[0], LAYERS[4]])
def test_torch_compile_sees_through(name: str, given: dict[str, Any], backend: str) -> None:
    layer, x = a_layer(name, given), signal(2, 70, WIDTH)
    compiled = torch.compile(layer, fullgraph=True, backend=backend)
    for p, q in zip(results(compiled, layer, x), results(layer, layer, x), strict=True):
        close(p, q)


@pytest.mark.parametrize(("name", "given"), [LAYERS[0], LAYERS[4]])
def test_an_exported_graph_runs_without_smrdsl(name: str, given: dict[str, Any]) -> None:
    layer, x = a_layer(name, given), signal(2, 20, WIDTH)
    exported = torch.export.export(layer, (x,))
    assert not any("smrdsl" in str(node.target) for node in exported.graph.nodes)
    close(exported.module()(x), layer(x))


def test_a_centred_kernel_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Counted(monkeypatch)
    a_layer("conv1d", {"kernel": 4, "causal": False})(signal(2, 20, WIDTH))
    assert seen.runs == 0


def test_under_autocast_the_output_is_near_that_without() -> None:
    for name, given in LAYERS:
        layer, x = a_layer(name, given), signal(2, 40, WIDTH)
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(x)
        close(y.float(), layer(x), 3e-2)
