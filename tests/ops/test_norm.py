"""`norm` against torch's layers and its formulas; batch norm as torch's in both modes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smrdsl.core.errors import SmrError
from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Misfit
from smrdsl.ops.norm import OPERATOR, NormParams
from smrdsl.ops.norm.layer import Norm


def make(width: int = 6, **arguments: Any) -> Norm:
    p, inputs = NormParams(**arguments), (StreamType.real(width),)
    layer = Norm(p, inputs, OPERATOR.infer(p, inputs))
    layer.reset_parameters(lambda name: torch.Generator().manual_seed(0))
    return layer.double()


def signal(*shape: int) -> Tensor:
    return 3 + 2 * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_starts_without_a_scale() -> None:
    x = signal(2, 9, 6)
    mean_square = x.square().mean(-1, keepdim=True)
    torch.testing.assert_close(make()(x), nn.LayerNorm(6).double()(x))
    torch.testing.assert_close(make(kind="rms")(x), x / (mean_square + 1e-5).sqrt())
    torch.testing.assert_close(make(kind="scale", eps=0.5)(x), x / (mean_square + 0.5).sqrt())


def test_groups_are_normalised_by_themselves() -> None:
    x = signal(2, 9, 6)
    layer, half = make(kind="rms", groups=2), make(3, kind="rms")
    torch.testing.assert_close(layer(x), torch.cat([half(x[..., :3]), half(x[..., 3:])], -1))


def test_batch_equals_torch_in_training_and_after() -> None:
    layer, twin = make(kind="batch"), nn.BatchNorm1d(6).double()
    for length in (9, 4, 1):
        x = signal(2, length, 6) * length
        torch.testing.assert_close(layer(x), twin(x.transpose(1, 2)).transpose(1, 2))
    torch.testing.assert_close(layer.running_mean, twin.running_mean)
    torch.testing.assert_close(layer.running_var, twin.running_var)
    x = signal(3, 5, 6)
    wanted = twin.eval()(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(layer.eval()(x), wanted)
    torch.testing.assert_close(layer(x[:, 0]), wanted[:, 0])


def test_batch_cannot_be_stepped_in_training() -> None:
    with pytest.raises(SmrError, match=r"norm\(batch\) cannot be stepped in training mode"):
        make(kind="batch")(signal(2, 6))


@pytest.mark.parametrize("shape", [(0, 4, 6), (2, 0, 6), (1, 1, 6)])
def test_batch_learns_nothing_from_too_little(shape: tuple[int, ...]) -> None:
    layer = make(kind="batch")
    y = layer(signal(*shape))
    assert torch.equal(y, torch.zeros(shape, dtype=torch.float64))
    assert torch.equal(layer.running_mean, torch.zeros(6, dtype=torch.float64))
    assert torch.equal(layer.running_var, torch.ones(6, dtype=torch.float64))


def test_reset_forgets_the_running_statistics() -> None:
    layer = make(kind="batch")
    layer(signal(2, 9, 6))
    layer.reset_parameters(lambda name: torch.Generator())
    assert layer.running_mean.abs().max() == 0


@pytest.mark.parametrize(
    ("arguments", "stream", "message"),
    [
        ({"groups": 2}, StreamType.real(6), "groups are for kind=rms, not layer"),
        ({"kind": "rms", "groups": 4}, StreamType.real(6), "6 channels are not divisible by 4 groups"),
        ({"kind": "batch"}, StreamType.pooled(6), "pooled"),
        ({"kind": "rms"}, StreamType.pooled(6), "pooled"),
    ],
    ids=str,
)
def test_misfits(arguments: dict[str, Any], stream: StreamType, message: str) -> None:
    with pytest.raises(Misfit, match=message):
        OPERATOR.infer(NormParams(**arguments), (stream,))
