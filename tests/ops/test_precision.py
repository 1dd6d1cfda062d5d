"""Every core in float32 over a long sequence, and under bfloat16 autocast."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from smrdsl.ops.contract import Operator, Params, Streams
from smrdsl.ops.registry import operators
from tests.ops.test_contract import build, random_stream

LONG = 16_384
CORES = [
    pytest.param(op, p, inputs, id=f"{op.name}-{n}")
    for op in operators().values()
    if "ssm" in op.families
    for n, (p, inputs) in enumerate(op.samples)
]


def streams(inputs: Streams, length: int) -> tuple[Tensor, ...]:
    g = torch.Generator().manual_seed(3)
    return tuple(random_stream(i, 1, length, g).float() for i in inputs)


@pytest.mark.parametrize(("op", "p", "inputs"), [c for c in CORES if c.id.endswith("-0")])
def test_a_long_sequence_stays_finite_in_value_and_gradient(op: Operator, p: Params, inputs: Streams) -> None:
    layer = build(op, p, inputs).float()
    u = [x.requires_grad_() for x in streams(inputs, LONG)]
    y = layer(*u)
    y.square().mean().backward()
    assert torch.isfinite(y).all()
    for name, tensor in (*layer.named_parameters(), *((f"stream {i}", x) for i, x in enumerate(u))):
        assert tensor.grad is not None, name
        assert torch.isfinite(tensor.grad).all(), name
    wanted = layer.double()(*(x.detach().double() for x in u))
    assert (y.double() - wanted).abs().max() <= 1e-3 * wanted.abs().max().clamp(min=1)


@pytest.mark.parametrize(("op", "p", "inputs"), CORES)
def test_autocast_leaves_the_core_in_float32(op: Operator, p: Params, inputs: Streams) -> None:
    """Half precision goes in and comes out; between them is what float32 gives for the same numbers."""
    layer = build(op, p, inputs).float()
    u = tuple(x.bfloat16() for x in streams(inputs, 70))
    with torch.no_grad():
        wanted: Any = layer(*(x.float() for x in u))
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(*u)
    assert y.dtype == torch.bfloat16
    assert all(q.dtype == torch.float32 for q in layer.parameters())
    torch.testing.assert_close(y.float(), wanted, rtol=2e-2, atol=2e-2)
