"""Gradients of the cores at their initial values, which hold exact zeros (Im Lambda of the first mode, Im P, Im B).

A gradient that is lost there would keep a parameter where it started, and no test on noisy parameters would tell.
"""

from __future__ import annotations

from itertools import product

import pytest
import torch

from smrdsl.core.types import StreamType
from smrdsl.lowering.layers import draw_for
from smrdsl.ops.registry import operators

CASES = [
    *(("s4d", {"init": i, "disc": d}) for i, d in product(("lin", "inv", "legs", "quad", "real"), ("zoh", "bilinear"))),
    *(("s4", {"init": i, "disc": d}) for i, d in product(("legs", "fout", "legt"), ("zoh", "bilinear"))),
]


@pytest.mark.parametrize("strategy", ["conv", "scan", "recurrent"])
@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_gradients_at_the_initial_values(name: str, arguments: dict[str, str], strategy: str) -> None:
    op, stream = operators()[name], (StreamType.real(3),)
    params = op.params(state=4, **arguments)
    layer = op.load_layer()(params, stream, stream[0])
    layer.reset_parameters(draw_for(0, name))
    layer = layer.double()
    layer.strategy = strategy
    torch.manual_seed(0)
    u, weight = torch.randn(2, 9, 3).double(), torch.randn(2, 9, 3).double()
    parameters = dict(layer.named_parameters())
    found = torch.autograd.grad((layer(u) * weight).sum(), list(parameters.values()))
    wanted = torch.autograd.grad((op.load_reference()(layer, u) * weight).sum(), list(parameters.values()))
    for key, a, b in zip(parameters, found, wanted, strict=True):
        assert (a - b).abs().max() <= 1e-8 * b.abs().max().clamp(min=1), key
