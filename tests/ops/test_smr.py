"""`smr`: identity at first, bit for bit; its equation in numbers; which initial values are allowed where."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Misfit
from smrdsl.ops.smr import OPERATOR, SmrParams
from smrdsl.ops.smr.layer import Smr


def make(width: int = 5, **arguments: Any) -> Smr:
    p, inputs = SmrParams(**arguments), (StreamType.real(width),)
    layer = Smr(p, inputs, OPERATOR.infer(p, inputs))
    layer.reset_parameters(lambda name: torch.Generator().manual_seed(sum(map(ord, name))))
    return layer


def signal(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(3, 50, 5, dtype=dtype, generator=torch.Generator().manual_seed(0))


IDENTITIES = [
    {"gate": "sigmoid2"},
    {"gate": "sigmoid2", "bias": False, "kernel": 3},
    {"gate": "tanh1", "memory": 9},
    {"gate": "tanh1", "bias": False, "mix": "pointwise", "init": "identity"},
    {"gate": "identity", "memory": 1},
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("arguments", IDENTITIES, ids=str)
def test_identity_changes_no_bit(arguments: dict[str, Any], dtype: torch.dtype) -> None:
    layer, u = make(**arguments).to(dtype), signal(dtype)
    assert torch.equal(layer(u), u)
    past = u[:, : layer.past]
    assert torch.equal(layer.step(u[:, -1], past)[0], u[:, -1])


def test_silu_is_the_identity_to_rounding() -> None:
    torch.testing.assert_close(make(gate="silu").double()(signal(torch.float64)), signal(torch.float64))


@pytest.mark.parametrize("arguments", IDENTITIES, ids=str)
def test_identity_can_learn(arguments: dict[str, Any]) -> None:
    layer = make(**arguments)
    layer(signal()).square().sum().backward()
    assert layer.m.grad is not None
    assert layer.m.grad.abs().min() > 0


@pytest.mark.parametrize("gate", ["sigmoid", "tanh"])
def test_gates_that_are_never_one_start_at_random(gate: str) -> None:
    layer = make(gate=gate, memory=16)
    assert not torch.equal(layer(signal()), signal())
    assert 0 < layer.m.abs().max() <= 0.25


def test_the_equation_in_numbers() -> None:
    layer = make(width=1, memory=2, kernel=2, gate="identity")
    with torch.no_grad():
        layer.m.copy_(torch.tensor([[2.0, 3.0]]))  # r_t = 2 u_t + 3 u_{t-1}
        assert layer.w is not None
        layer.w.copy_(torch.tensor([[1.0, 10.0]]))  # q_t = r_t + 10 r_{t-1}
        assert layer.b is not None
        layer.b.fill_(0.5)
    u = torch.tensor([1.0, 2.0, 0.0, 1.0]).view(1, 4, 1)
    r = [2.0, 7.0, 6.0, 2.0]
    p = [0.5 + r[0], 0.5 + r[1] + 10 * r[0], 0.5 + r[2] + 10 * r[1], 0.5 + r[3] + 10 * r[2]]
    wanted = torch.tensor([1 * p[0], 2 * p[1], 0 * p[2], 1 * p[3]]).view(1, 4, 1)
    torch.testing.assert_close(layer(u), wanted)
    assert layer.taps().tolist() == [[30.0, 23.0, 2.0]]


@pytest.mark.parametrize(("memory", "kernel"), [(1, 1), (4, 1), (4, 3)])
def test_state_is_as_short_as_it_can_be(memory: int, kernel: int) -> None:
    p, inputs = SmrParams(memory=memory, kernel=kernel), (StreamType.real(5),)
    assert OPERATOR.state(p, inputs, inputs[0])["inputs"].shape == (memory + kernel - 2, 5)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"gate": "sigmoid"}, "never 1"),
        ({"gate": "tanh"}, "never 1"),
        ({"gate": "silu", "bias": False}, "1 only with a bias"),
        ({"gate": "identity", "bias": False}, "1 only with a bias"),
    ],
    ids=str,
)
def test_identity_is_refused_where_the_gate_is_not_one(arguments: dict[str, Any], why: str) -> None:
    inputs = (StreamType.real(5),)
    with pytest.raises(Misfit, match=why) as caught:
        OPERATOR.infer(SmrParams(**arguments, init="identity"), inputs)
    assert caught.value.argument == "init"
    assert OPERATOR.infer(SmrParams(**arguments), inputs) == inputs[0]
