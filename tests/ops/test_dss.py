"""dss against its published formulas, evaluated directly: no official numbers are kept, since its code rounds Lambda to
float32 and adds 1e-7 to the squares of denominators.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export

import smrdsl
from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Range
from smrdsl.ops.dss import OPERATOR, DssParams
from smrdsl.ops.dss.layer import Dss
from smrdsl.ops.registry import operators

FORMS = ("exp", "clip", "softmax")
STRATEGIES = OPERATOR.strategies


def draw(name: str) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def make(width: int, dtype: torch.dtype = torch.float64, **arguments: Any) -> Dss:
    p, inputs = DssParams(**arguments), (StreamType.real(width),)
    layer = Dss(p, inputs, inputs[0])
    layer.reset_parameters(draw)
    return layer.to(dtype)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    assert found.shape == wanted.shape
    found, wanted = found.detach().double(), wanted.detach()
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-30))


def spread_modes(layer: Dss, low: float, high: float) -> None:
    """Put the real parts of Lambda evenly into low .. high."""
    with torch.no_grad():
        layer.Lambda[:, 0] = torch.linspace(low, high, layer.p.state)


def published_kernel(layer: Dss, length: int) -> np.ndarray:
    """k (H, length) by proposition 1 of the paper, in numpy."""
    v = {name: q.detach().numpy() for name, q in layer.named_parameters()}
    if layer.p.form == "exp":
        lam = -np.exp(v["Lambda_log_neg_re"]) + 1j * v["Lambda_im"]
    else:
        lam = v["Lambda"][:, 0] + 1j * v["Lambda"][:, 1]
    if layer.p.form == "clip":
        lam = np.minimum(lam.real, -1e-4) + 1j * lam.imag
    w, z = v["W"][..., 0] + 1j * v["W"][..., 1], np.exp(v["log_dt"])[:, None] * lam
    exponents = z[..., None] * np.arange(length)
    if layer.p.form == "softmax":
        grown = np.exp(exponents - exponents.real.max(-1, keepdims=True))
        return ((w / lam)[..., None] * grown / grown.sum(-1, keepdims=True)).sum(1).real
    return ((w * (np.exp(z) - 1) / lam)[..., None] * np.exp(exponents)).sum(1).real


def kernel(layer: Dss, length: int) -> Tensor:
    """(H, length): what is left of an impulse."""
    impulse = torch.zeros(1, length, len(layer.log_dt), dtype=torch.float64)
    impulse[0, 0] = 1
    return layer(impulse)[0].T


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("length", [1, 2, 50, 200])
@pytest.mark.parametrize("form", FORMS)
def test_the_kernel_is_the_published_one(form: str, length: int, strategy: str) -> None:
    layer = make(3, state=5, form=form, skip=False, dt=Range(low=0.01, high=0.2))
    layer.strategy = strategy
    if form != "exp":
        spread_modes(layer, -1.5, 1.0)
    assert apart(kernel(layer, length), torch.from_numpy(published_kernel(layer, length))) < 1e-10


def test_a_growing_mode_is_a_fading_one_from_the_end() -> None:
    """In the softmax, where only shares of the whole count; and nothing jumps where a real part changes its sign."""
    growing, fading = (make(2, state=3, form="softmax", skip=False) for _ in range(2))
    spread_modes(growing, 0.5, 3.0)
    with torch.no_grad():
        fading.Lambda.copy_(-growing.Lambda)
        fading.W.copy_(-growing.W)
    assert apart(kernel(growing, 40), kernel(fading, 40).flip(1)) < 1e-12
    spread_modes(growing, 1e-12, 1e-12)
    spread_modes(fading, -1e-12, -1e-12)
    with torch.no_grad():
        fading.Lambda[:, 1].copy_(growing.Lambda[:, 1])
        fading.W.copy_(growing.W)
    assert apart(kernel(growing, 40), kernel(fading, 40)) < 1e-9


def test_a_padded_sequence_has_the_kernel_of_its_own_length() -> None:
    layer = make(2, state=3, form="softmax")
    spread_modes(layer, -1.0, 2.0)
    lengths, u = (9, 4, 1), numbers(3, 9, 2)
    y = layer(u, lengths=torch.tensor(lengths))
    for i, n in enumerate(lengths):
        assert apart(y[i : i + 1, :n], layer(u[i : i + 1, :n])) < 1e-12
    assert apart(layer(u[:, :4])[0], layer(u)[0, :4]) > 1e-2, "the kernel should depend on the length"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_float32_holds_at_length_16384(form: str, bidirectional: bool) -> None:
    """Finite and right, in value and gradient; the softmax with modes that would grow to e^16000 as well."""
    layer = make(2, state=4, form=form, bidirectional=bidirectional, dt=Range(low=0.001, high=0.5))
    if form == "softmax":
        spread_modes(layer, -2.0, 2.0)
    u = numbers(1, 16384, 2)
    results = []
    for dtype in (torch.float64, torch.float32):
        y = layer.to(dtype)(u.to(dtype))
        results.append([y, *torch.autograd.grad(y.square().mean(), [*layer.parameters()])])
    for wanted, found in zip(*results, strict=True):
        assert torch.isfinite(found).all()
        assert apart(found, wanted) < 1e-4


def test_the_softmax_is_finite_where_it_has_a_pole() -> None:
    """Lambda = 0, and a sum over the circle: e^{L z} = 1 for another z than 0."""
    layer = make(1, state=2, form="softmax", dt=Range(low=0.5, high=0.5))
    with torch.no_grad():
        layer.Lambda.copy_(torch.tensor([[0.0, 0.0], [0.0, 2 * math.pi / (8 * 0.5)]]))
    y = layer(numbers(1, 8, 1))
    assert torch.isfinite(y).all()
    for gradient in torch.autograd.grad(y.sum(), [*layer.parameters()]):
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("form", ["exp", "clip"])
@pytest.mark.parametrize("steps", ["both", "decay"])
def test_gaps_and_rates_are_the_definition(form: str, steps: str) -> None:
    layer, reference = make(3, state=3, form=form, steps=steps), operators()["dss"].load_reference()
    u, gaps = numbers(2, 20, 3), 2 * torch.rand(2, 20, dtype=torch.float64, generator=draw("gaps"))
    for strategy in STRATEGIES:
        layer.strategy = strategy
        for timing in ({"rate": 0.5}, {"dt": gaps}, {"rate": 2.0, "dt": gaps}):
            assert apart(layer(u, **timing), reference(layer, u, **timing)) < 1e-10


def test_chunks_with_gaps_are_the_whole() -> None:
    layer = make(3, state=3)
    u, gaps = numbers(2, 20, 3), 2 * torch.rand(2, 20, dtype=torch.float64, generator=draw("gaps"))
    x, outputs = torch.zeros(2, 3, 6, dtype=torch.float64), []
    for part, dt in zip(u.split(7, 1), gaps.split(7, 1), strict=True):
        y, x = layer.extend(part, x, dt=dt)
        outputs.append(y)
    assert apart(torch.cat(outputs, 1), layer(u, dt=gaps)) < 1e-10


def test_clip_keeps_modes_from_growing() -> None:
    layer = make(1, state=3, form="clip")
    spread_modes(layer, 1.0, 5.0)
    k = kernel(layer, 2000)
    assert torch.isfinite(k).all()
    assert k.abs().max() == k[:, :1000].abs().max()


@pytest.mark.parametrize("form", FORMS)
def test_it_starts_as_published(form: str) -> None:
    layer = make(64, state=8, form=form)
    row = np.sqrt(2 * np.arange(16) + 1)
    below = np.tril(np.outer(row, row), -1)
    wanted = np.sort(np.linalg.eigvals((below - below.T) / 2).imag)[::-1][:8]
    im = layer.Lambda_im if form == "exp" else layer.Lambda[:, 1]
    re = -torch.exp(layer.Lambda_log_neg_re) if form == "exp" else layer.Lambda[:, 0]
    assert apart(im, torch.from_numpy(wanted.copy())) < 1e-6
    assert (re + 0.5).abs().max() < 1e-7
    assert 0.001 <= torch.exp(layer.log_dt).min() < torch.exp(layer.log_dt).max() <= 0.1
    assert abs(layer.W.std() - 1) < 0.1


def test_autocast_leaves_the_core_in_float32() -> None:
    for form in FORMS:
        layer, x = make(4, torch.float32, state=4, form=form), numbers(2, 50, 4).bfloat16()
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(x)
        torch.testing.assert_close(y, layer(x.float()).bfloat16())


class Padded(nn.Module):
    """A layer that is told lengths."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return self.layer(x, lengths=lengths)


def test_the_softmax_is_exported_for_any_length() -> None:
    module = Padded(make(3, torch.float32, state=2, form="softmax", bidirectional=True))
    shapes = {"x": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}, "lengths": {0: Dim.DYNAMIC}}
    example = torch.randn(2, 9, 3), torch.tensor([9, 4])
    program = export(module, example, dynamic_shapes=shapes).module()
    for length in (2, 70):
        x, lengths = torch.randn(3, length, 3), torch.tensor([length, 0, 1])
        assert apart(program(x, lengths), module(x, lengths)) < 1e-5


def test_why_the_softmax_cannot_be_stepped() -> None:
    model = smrdsl.compile_text("model m { signal(channels=3)  dss(form=softmax) }")
    with pytest.raises(smrdsl.SmrError, match=r"`dss` at .* \(its kernel depends on the length of the sequence\)"):
        model.initial_state(1)
    with pytest.raises(smrdsl.SmrError, match="dss"):
        model(torch.zeros(1, 4, 3), rate=2.0)
    with pytest.raises(smrdsl.SmrError, match="minds no gaps: leave `steps` out, or write form=exp"):
        smrdsl.compile_text("model m { signal(channels=3)  dss(form=softmax, steps=decay) }")


def test_what_is_trained_slowly_and_without_decay() -> None:
    for form in FORMS:
        p, stream = DssParams(form=form), StreamType.real(8)
        declared = OPERATOR.parameters(p, (stream,), stream)
        slow = {name for name, q in declared.items() if q.group == "ssm" and not q.decay}
        assert slow == set(declared) - {"D"}
