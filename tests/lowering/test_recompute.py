"""Regions that are run again for the backward pass: everything else stays as it is."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

import smrdsl
from smrdsl.lowering.recompute import recompute, regions_of

TEXT = """model m {
  signal(channels=4, timed=true)
  linear(8)
  repeat 3 { residual { norm(layer)  s4d(state=4)  glu  dropout(0.3) } }
  bidirectional(merge=add) { s5(state=4) }
  linear(8)  tanh
  linear(2)
}
"""
U, DT = torch.randn(3, 20, 4, generator=torch.Generator().manual_seed(1)), torch.rand(3, 20) + 0.5


def pair() -> tuple[smrdsl.CompiledModel, smrdsl.CompiledModel]:
    """A model, and the same with all of its layers and the way back run again."""
    plain, other = (smrdsl.compile_text(TEXT, length=20, batch=3, mode="train") for _ in range(2))
    blocks = [[k for k in plain.graph.keys if k.startswith(f"layers.{i}.")] for i in range(3)]
    both = [k for k in plain.graph.keys if k.startswith(("ahead", "back", "flip", "bidirectional"))]
    recompute(other.fx, [*blocks, both])
    return plain, other


def trained(model, *inputs: Tensor, **options) -> tuple[Tensor, list[Tensor]]:
    model.zero_grad()
    torch.manual_seed(7)
    y = model(*inputs, **options)
    y.square().mean().backward()
    return y, [p.grad.clone() for p in model.parameters()]


def assert_same(one, other) -> None:
    assert torch.equal(one[0], other[0])
    for a, b in zip(one[1], other[1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("options", [{}, {"lengths": torch.tensor([20, 7, 1])}])
def test_values_gradients_and_what_is_drawn_stay(options) -> None:
    plain, other = pair()
    assert len(regions_of(other.fx)) == 4
    assert_same(trained(plain, U, DT, **options), trained(other, U, DT, **options))


def test_names_and_copies() -> None:
    plain, other = pair()
    assert list(plain.state_dict()) == list(other.state_dict())
    twice = copy.deepcopy(other.fx)
    assert len(regions_of(twice)) == 4
    with torch.no_grad():
        for p in other.parameters():
            p.zero_()
    assert_same(trained(plain, U, DT), trained(twice, U, DT))


def test_without_gradients_and_under_torch_func() -> None:
    plain, other = pair()
    for model in (plain, other):
        model.eval()
    with torch.no_grad():
        assert torch.equal(plain(U, DT), other(U, DT))
    weights = dict(plain.named_parameters())

    def loss(model):
        return torch.func.grad(lambda w: torch.func.functional_call(model, w, (U, DT)).square().mean())(weights)

    for one, two in zip(loss(plain).values(), loss(other).values(), strict=True):
        torch.testing.assert_close(one, two)


def test_compiled_it_is_the_same() -> None:
    plain, other = pair()
    torch._dynamo.reset()
    (y, gradients), (z, others) = (
        trained(plain, U, DT),
        trained(torch.compile(other, backend="eager", fullgraph=True), U, DT),
    )
    torch.testing.assert_close(z, y)  # what is compiled is not fused, and runs by other kernels
    torch.testing.assert_close(others, gradients)


def test_a_mistake_inside_a_region_names_its_line() -> None:
    _, other = pair()
    other.layers[1].glu.weight = torch.nn.Parameter(torch.zeros(3, 3))
    with pytest.raises(smrdsl.SmrError, match=r"<text>:4:\d+: .*layers\.1\."):
        other(U, DT)


def test_a_region_around_what_stands_outside_is_left_as_it_is() -> None:
    model = smrdsl.compile_text("model m { signal(channels=2)  a: tanh  b: linear(2)  c: tanh }", mode="train")
    recompute(model.fx, [["a", "c"]])
    assert regions_of(model.fx) == []


def test_a_region_may_leave_several_streams() -> None:
    text = "model m { signal(channels=4)  a: linear(4)  residual { b: tanh  c: linear(4) }  linear(2) }"
    plain, other = (smrdsl.compile_text(text, mode="train") for _ in range(2))
    recompute(other.fx, [["a", "b"]])
    assert "[0]" in other.fx.code
    assert "[1]" in other.fx.code
    assert_same(trained(plain, U), trained(other, U))
