"""`linear`, `mlp`, `glu`, `affine`, `dropout` and the activations, against torch and their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Misfit
from smrdsl.ops.registry import operators

REAL = (StreamType.real(6),)


def make(name: str, **arguments: Any) -> Any:
    op = operators()[name]
    p = op.params(**arguments)
    layer = op.load_layer()(p, REAL, op.infer(p, REAL)).double()
    if hasattr(layer, "reset_parameters"):
        layer.reset_parameters(lambda name: torch.Generator().manual_seed(sum(map(ord, name))))
    return layer


def signal() -> Tensor:
    return torch.randn(2, 9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_linear_is_torchs() -> None:
    layer, twin = make("linear", width=4), nn.Linear(6, 4).double()
    twin.load_state_dict(layer.state_dict())
    assert torch.equal(layer(signal()), twin(signal()))
    assert make("linear", width=4, bias=False).bias is None


@pytest.mark.parametrize(("name", "arguments"), [("linear", {"width": 200}), ("mlp", {"hidden": 200}), ("glu", {})])
def test_maps_start_as_torchs_do(name: str, arguments: dict[str, Any]) -> None:
    for parameter in make(name, **arguments).parameters():
        bound = (200 if parameter.shape[-1] == 200 and name == "mlp" and parameter.dim() == 2 else 6) ** -0.5
        assert parameter.abs().max() <= 6**-0.5
        assert parameter.abs().max() > 0.7 * bound or parameter.dim() == 1


def test_a_tied_weight_is_passed_in() -> None:
    layer, shared = make("linear", width=11, tie="tok"), torch.randn(11, 6, dtype=torch.float64)
    assert [name for name, _ in layer.named_parameters()] == ["bias"]
    assert torch.equal(layer(signal(), shared), F.linear(signal(), shared, layer.bias))


def test_mlp_follows_its_equation() -> None:
    x, layer = signal(), make("mlp", act="silu")
    assert layer.W1.shape == (24, 6)
    wanted = F.silu(x @ layer.W1.t() + layer.b1) @ layer.W2.t() + layer.b2
    torch.testing.assert_close(layer(x), wanted)
    layer = make("mlp", hidden=5, gated=True)
    wanted = (F.gelu(x @ layer.W1.t() + layer.b1) * (x @ layer.V.t() + layer.c)) @ layer.W2.t() + layer.b2
    torch.testing.assert_close(layer(x), wanted)


def test_glu_is_torchs() -> None:
    layer = make("glu")
    torch.testing.assert_close(layer(signal()), F.glu(F.linear(signal(), layer.weight, layer.bias)))


def test_affine_starts_at_its_scale() -> None:
    layer = make("affine", scale=1e-4)
    assert torch.equal(layer(signal()), layer.scale * signal())
    assert layer.scale.tolist() == pytest.approx([1e-4] * 6)


FORMULAS: dict[str, Callable[[float], float]] = {
    "gelu": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "relu": lambda x: max(x, 0.0),
    "relu2": lambda x: max(x, 0.0) ** 2,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "softplus": lambda x: math.log1p(math.exp(x)),
    "laplace": lambda x: 0.5 * (1 + math.erf((x - 0.707107) / (0.282095 * math.sqrt(2)))),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_activations_follow_their_formulas(name: str) -> None:
    points = [-3.0, -0.5, 0.0, 0.3, 2.0]
    found = make(name)(torch.tensor(points, dtype=torch.float64)).tolist()
    assert found == pytest.approx([FORMULAS[name](x) for x in points], abs=1e-12)


def test_gelu_has_flaxs_form() -> None:
    x = signal()
    assert torch.equal(make("gelu", approximate="tanh")(x), F.gelu(x, approximate="tanh"))


@pytest.mark.parametrize(
    ("act", "why"),
    [("gleu", "`gleu` is no activation, did you mean `gelu`"), ("norm", "`norm` is no activation")],
)
def test_only_an_activation_can_be_one(act: str, why: str) -> None:
    for name, arguments in (("mlp", {}), ("glu", {})):
        op = operators()[name]
        with pytest.raises(Misfit, match=why) as caught:
            op.infer(op.params(act=act, **arguments), REAL)
        assert caught.value.argument == "act"


def test_dropout_keeps_the_mean_and_ties_time() -> None:
    x = torch.ones(4, 50, 6, dtype=torch.float64)
    torch.manual_seed(0)
    loose, tied = make("dropout", p=0.25).train()(x), make("dropout", p=0.25, tied=True).train()(x)
    for y in (loose, tied):
        assert set(y.unique().tolist()) == {0.0, 1 / 0.75}
    assert loose.mean().item() == pytest.approx(1, abs=0.1)
    assert torch.equal(tied, tied[:, :1].expand_as(tied))
    assert not torch.equal(loose, loose[:, :1].expand_as(loose))
    assert torch.equal(make("dropout", p=0.25, tied=True).eval()(x), x)
