"""Layers whose strategy `recurrent` is a native kernel: the same numbers as by the other strategies, in every use."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from smrdsl.core.types import StreamType
from smrdsl.kernels import native_calls
from smrdsl.lowering.layers import draw_for
from smrdsl.ops.registry import operators
from tests.native.kernels import close, needs_library

pytestmark = needs_library
LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("s4d", {"state": 6}),
    ("s4d", {"state": 6, "disc": "bilinear", "bidirectional": True}),
    ("s4", {"state": 6}),
    ("s4", {"state": 4, "rank": 2, "bidirectional": True}),
    ("dss", {"state": 6}),
    ("ema", {"state": 3}),
    ("ema", {"state": 3, "complex": True}),
    ("ema", {"bidirectional": True}),
    ("s5", {"state": 8}),
    ("s5", {"state": 8, "bidirectional": True}),
    ("lru", {"state": 6}),
]
CAUSAL = [(name, given) for name, given in LAYERS if not given.get("bidirectional")]
WIDTH = 19


class Seen(TorchDispatchMode):
    """Whether a native kernel ran while it looks on."""

    ran = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.ran |= func.namespace == "smrdsl"
        return func(*args, **(kwargs or {}))


def a_layer(name: str, given: dict[str, Any], width: int = WIDTH, strategy: str = "recurrent") -> nn.Module:
    op = operators()[name]
    params, inputs = op.params(**given), (StreamType.real(width),)
    layer = op.load_layer()(params, inputs, op.infer(params, inputs))
    layer.reset_parameters(draw_for(0, name))
    layer.strategy = strategy
    return layer


def signal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def results(layer: nn.Module, u: Tensor, strategy: str, **given: Any) -> list[Tensor]:
    """The output, and the gradients of everything that went in."""
    layer.strategy = strategy
    u = u.detach().requires_grad_()
    y = layer(u, **given)
    learned = list(layer.parameters())
    grads = torch.autograd.grad((y * signal(*y.shape, seed=7)).sum(), [u, *learned], materialize_grads=True)
    return [y, *grads]


@pytest.mark.parametrize(("name", "given"), LAYERS)
@pytest.mark.parametrize("length", [1, 2, 17, 130])
def test_outputs_and_gradients_are_those_of_a_scan(name: str, given: dict[str, Any], length: int) -> None:
    layer, u = a_layer(name, given), signal(2, length, WIDTH)
    with Seen() as seen:
        found = results(layer, u, "recurrent")
    assert seen.ran == (length > 1)
    for p, q in zip(found, results(layer, u, "scan"), strict=True):
        close(p, q, 1e-4)


@pytest.mark.parametrize(("name", "given"), LAYERS)
def test_a_long_sequence_stays_exact(name: str, given: dict[str, Any]) -> None:
    layer, u = a_layer(name, given, 3), signal(1, 16384, 3)
    for p, q in zip(results(layer, u, "recurrent"), results(layer, u, "conv"), strict=True):
        assert p.isfinite().all()
        close(p, q, 1e-4)


@pytest.mark.parametrize(("name", "given"), CAUSAL)
def test_chunks_of_any_sizes_are_the_whole(name: str, given: dict[str, Any]) -> None:
    op, layer, u = operators()[name], a_layer(name, given), signal(3, 150, WIDTH)
    inputs = (StreamType.real(WIDTH),)
    params = op.params(**given)
    state = [torch.zeros(3, *s.shape) for s in op.state(params, inputs, op.infer(params, inputs)).values()]
    outputs = []
    with Seen() as seen:
        for chunk in u.split([0, 1, 64, 5, 80], 1):
            y, *state = layer.extend(chunk, *state)  # type: ignore[operator]
            outputs.append(y)
    assert seen.ran
    close(torch.cat(outputs, 1), layer(u), 1e-4)


@pytest.mark.parametrize("shape", [(0, 5, WIDTH), (2, 0, WIDTH)])
def test_nothing_gives_nothing(shape: tuple[int, int, int]) -> None:
    for name, given in LAYERS:
        assert a_layer(name, given)(torch.zeros(shape)).shape == shape


def test_another_rate_is_another_system() -> None:
    layer, u = a_layer("s4d", {"state": 6}), signal(2, 70, WIDTH)
    for rate in (0.5, torch.tensor(2.0, requires_grad=True)):
        for p, q in zip(results(layer, u, "recurrent", rate=rate), results(layer, u, "scan", rate=rate), strict=True):
            close(p, q, 1e-4)


def test_a_changed_parameter_is_seen() -> None:
    layer, u = a_layer("s4d", {"state": 6}), signal(1, 30, WIDTH)
    with torch.no_grad():
        before = layer(u)
        layer.C.mul_(2)  # type: ignore[operator]
        layer.D.mul_(2)  # type: ignore[operator]
        close(layer(u), 2 * before)


@pytest.mark.parametrize(("name", "given"), LAYERS[:1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions(name: str, given: dict[str, Any], dtype: torch.dtype) -> None:
    """Half precision runs in float32 inside; float64 is left to torch."""
    layer, u = a_layer(name, given), signal(2, 40, WIDTH)
    with Seen() as seen:
        y = layer(u.to(dtype))
    assert y.dtype == dtype
    assert seen.ran == (dtype != torch.float64)
    close(y.float(), layer(u), 1e-2)


def test_a_state_in_another_precision_is_left_to_torch() -> None:
    layer, u = a_layer("s4d", {"state": 6}), signal(2, 40, WIDTH)
    x = torch.zeros(2, WIDTH, 6, dtype=torch.float64)
    with Seen() as seen:
        y, after = layer.extend(u, x)  # type: ignore[operator]
    assert not seen.ran
    assert after.dtype == torch.float64
    close(y, layer(u), 1e-4)


def test_without_a_library_torch_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, given in LAYERS:
        layer, u = a_layer(name, given), signal(2, 20, WIDTH)
        wanted = layer(u)
        monkeypatch.setattr(native_calls, "THERE", False)
        with Seen() as seen:
            close(layer(u), wanted, 1e-4)
        assert not seen.ran
        monkeypatch.undo()


@pytest.mark.parametrize(("name", "given"), [LAYERS[0], LAYERS[2], LAYERS[5], LAYERS[8]])
def test_torch_compile_sees_through(name: str, given: dict[str, Any]) -> None:
    layer, u = a_layer(name, given), signal(2, 20, WIDTH)
    wanted = results(layer, u, "recurrent")
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    u = u.requires_grad_()
    y = compiled(u)
    found = torch.autograd.grad((y * signal(*y.shape, seed=7)).sum(), [u, *layer.parameters()], materialize_grads=True)
    for p, q in zip([y, *found], wanted, strict=True):
        close(p, q)


@pytest.mark.parametrize(("name", "given"), [LAYERS[0], LAYERS[2], LAYERS[5], LAYERS[8]])
def test_an_exported_graph_runs_without_smrdsl(name: str, given: dict[str, Any]) -> None:
    layer, u = a_layer(name, given), signal(2, 300, WIDTH)
    exported = torch.export.export(layer, (u,))
    targets = {str(node.target) for node in exported.graph.nodes}
    assert not any("smrdsl" in target for target in targets)
    assert len(exported.graph.nodes) < 1500, "a loop over time was written out"
    close(exported.module()(u), layer(u), 1e-4)


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch uses it in jvp
@pytest.mark.parametrize(("name", "given"), [LAYERS[0], LAYERS[8]])
def test_transforms_of_torch_func_are_left_to_torch(name: str, given: dict[str, Any]) -> None:
    """Gradients by sample, and forward-mode derivatives, against those by hand."""
    layer, u = a_layer(name, given), signal(3, 12, WIDTH)
    parameters = {key: p.detach() for key, p in layer.named_parameters()}
    weights = signal(12, WIDTH, seed=7)

    def run(p: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(layer, p, (x[None],))[0]

    def loss(p: dict[str, Tensor], x: Tensor) -> Tensor:
        return (run(p, x) * weights).sum()

    by_sample = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, u)
    for i in range(3):
        wanted = results(layer, u[i : i + 1], "recurrent")[1:]
        for key, w in zip(parameters, wanted[1:], strict=True):
            close(by_sample[key][i], w, 1e-4)
    tangent = torch.func.jvp(lambda x: run(parameters, x), (u[0],), (u[1],))[1]
    close(tangent, run(parameters, u[1]), 1e-4)  # the map is linear
