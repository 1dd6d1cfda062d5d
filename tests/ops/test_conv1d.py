"""`conv1d` against torch's Conv1d with the same weights, and its identity."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Misfit
from smrdsl.ops.conv1d import OPERATOR, Conv1dParams
from smrdsl.ops.conv1d.layer import Conv1d


def make(width: int, **arguments: Any) -> Conv1d:
    p, inputs = Conv1dParams(**arguments), (StreamType.real(width),)
    layer = Conv1d(p, inputs, OPERATOR.infer(p, inputs))
    layer.reset_parameters(lambda name: torch.Generator().manual_seed(sum(map(ord, name))))
    return layer


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kernel", [1, 2, 4, 9, 20])
@pytest.mark.parametrize("depthwise", [True, False])
def test_equals_torch(kernel: int, depthwise: bool, causal: bool) -> None:
    layer = make(6, kernel=kernel, depthwise=depthwise, causal=causal).double()
    twin = nn.Conv1d(6, 6, kernel, groups=6 if depthwise else 1, padding="valid" if causal else "same").double()
    twin.load_state_dict({"weight": layer.weight.view_as(twin.weight), "bias": layer.bias})
    x = torch.randn(2, 15, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    padded = nn.functional.pad(x.transpose(1, 2), (kernel - 1, 0)) if causal else x.transpose(1, 2)
    torch.testing.assert_close(layer(x), twin(padded).transpose(1, 2), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("depthwise", [True, False])
@pytest.mark.parametrize("kernel", [1, 4, 9])
@pytest.mark.parametrize("causal", [True, False])
def test_identity_changes_no_bit(kernel: int, depthwise: bool, causal: bool) -> None:
    x = torch.randn(2, 15, 6, generator=torch.Generator().manual_seed(0))
    layer = make(6, kernel=kernel, depthwise=depthwise, causal=causal, init="identity")
    assert torch.equal(layer(x), x)


@pytest.mark.parametrize("depthwise", [True, False])
def test_starts_as_torch_does(depthwise: bool) -> None:
    layer = make(64, kernel=4, depthwise=depthwise)
    bound = (4 if depthwise else 4 * 64) ** -0.5
    for parameter in layer.parameters():
        assert 0.8 * bound < parameter.abs().max() <= bound


def test_misfits() -> None:
    real = (StreamType.real(6),)
    with pytest.raises(Misfit, match="a depthwise kernel leaves its 6 channels, not 8"):
        OPERATOR.infer(Conv1dParams(kernel=3, width=8), real)
    with pytest.raises(Misfit, match="6 channels cannot become 8 unchanged"):
        OPERATOR.infer(Conv1dParams(kernel=3, width=8, depthwise=False, init="identity"), real)
    assert OPERATOR.infer(Conv1dParams(kernel=3, width=8, depthwise=False), real) == StreamType.real(8)
    assert not OPERATOR.looks_ahead(Conv1dParams(kernel=1, causal=False))
    assert OPERATOR.looks_ahead(Conv1dParams(kernel=2, causal=False))
