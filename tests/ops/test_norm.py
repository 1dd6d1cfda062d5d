"""`norm` against torch's layers and its formulas; batch norm as torch's in both modes."""

from __future__ import annotations

import warnings
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


@pytest.mark.parametrize("ends", [(9, 4, 0), (1, 0, 0), (2, 0, 0), (0, 0, 0)])
def test_batch_counts_only_what_belongs_to_a_sequence(ends: tuple[int, ...]) -> None:
    """In training as if the sequences stood end to end, without padding: values, gradients, running statistics."""
    layer, twin = make(kind="batch"), make(kind="batch")
    lengths, x = torch.tensor(ends), signal(3, 9, 6)
    inside = torch.arange(9) < lengths[:, None]
    padded = x.masked_fill(~inside[..., None], torch.nan).requires_grad_()
    row = x[inside][None].requires_grad_()
    y, wanted = layer(padded, lengths=lengths), twin(row)
    torch.testing.assert_close(y[inside][None], wanted)
    torch.testing.assert_close(layer.running_mean, twin.running_mean)
    torch.testing.assert_close(layer.running_var, twin.running_var)
    mix = signal(*wanted.shape)
    found = torch.autograd.grad(y[inside][None], [padded, *layer.parameters()], mix)
    exact = torch.autograd.grad(wanted, [row, *twin.parameters()], mix, materialize_grads=True)
    torch.testing.assert_close(found[0][inside][None], exact[0])
    torch.testing.assert_close(found[0], found[0].nan_to_num() * inside[..., None])
    torch.testing.assert_close(found[1:], exact[1:])


def test_batch_of_padded_sequences_stays_in_its_precision() -> None:
    x, lengths = signal(2, 50, 6), torch.tensor([50, 20])
    exact = make(kind="batch")(x, lengths=lengths)
    y = make(kind="batch").float()(x.bfloat16(), lengths=lengths)
    assert y.dtype == torch.bfloat16
    assert (y - exact)[torch.arange(50) < lengths[:, None]].abs().max() < 0.05


def test_batch_in_evaluation_ignores_the_padding() -> None:
    layer, x = make(kind="batch").eval(), signal(2, 5, 6)
    x[0, 3:] = torch.nan
    x.requires_grad_()
    y = layer(x, lengths=torch.tensor([3, 5]))
    torch.testing.assert_close(y[0, :3], layer(x[0, :3]))
    assert torch.isfinite(torch.autograd.grad(y.sum(), layer.weight)[0]).all()


@pytest.mark.parametrize("arguments", [{"kind": "rms"}, {"kind": "rms", "groups": 2}, {"kind": "scale"}], ids=str)
def test_halves_are_normalised_in_float32_and_come_back_as_halves(arguments: dict[str, Any]) -> None:
    layer, x = make(**arguments).float(), signal(2, 9, 6).bfloat16()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of halves under weights in float32
        y = layer(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, layer(x.float()).bfloat16(), rtol=0, atol=0)
