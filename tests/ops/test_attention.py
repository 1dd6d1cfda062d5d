"""`attention` against a masked softmax over all pairs, in several blocks, and against SPADE's own numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from smrdsl.core.types import StreamType
from smrdsl.ops.attention import OPERATOR, AttentionParams
from smrdsl.ops.attention.layer import Attention
from smrdsl.ops.contract import Misfit

GOLDEN = Path(__file__).parent / "golden"
SPADE = sorted(p.stem for p in GOLDEN.glob("spade_local_*.npz"))


def make(width: int = 8, **arguments: Any) -> Attention:
    p, inputs = AttentionParams(**arguments), (StreamType.real(width),)
    layer = Attention(p, inputs, OPERATOR.infer(p, inputs)).double().eval()
    layer.reset_parameters(lambda name: torch.Generator().manual_seed(len(name) + sum(map(ord, name))))
    if layer.rel_bias is not None:
        layer.rel_bias.data.mul_(50.0)  # so that a wrong bucket shows
    return layer


def masked_softmax(layer: Attention, x: Tensor) -> Tensor:
    """All pairs at once, with the mask, rotation and bias written out as matrices."""
    length, d = x.shape[1], layer.head
    place = torch.arange(length)
    offset = place - place[:, None]  # key minus query
    seen = offset <= 0 if layer.causal else torch.ones_like(offset, dtype=torch.bool)
    if layer.window is not None:
        seen &= (offset >= -layer.before) & (offset <= layer.after)

    def heads(weight: Tensor) -> Tensor:
        y = (x @ weight.t()).unflatten(-1, (-1, d)).transpose(1, 2)
        return y.repeat_interleave(x.shape[2] // weight.shape[0], dim=1)

    q, k, v = heads(layer.W_q), heads(layer.W_k), heads(layer.W_v)
    if layer.turned:
        turns = place[:, None] * 10_000 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
        q, k = (
            torch.view_as_real(torch.complex(*y.chunk(2, -1)) * torch.polar(torch.ones_like(turns), turns))
            for y in (q, k)
        )
        q, k = (y.transpose(-1, -2).flatten(-2) for y in (q, k))
    scores = q @ k.transpose(-1, -2) / math.sqrt(d)
    if layer.rel_bias is not None:
        scores = scores + t5_bias(layer.rel_bias, offset, layer.causal)
    weights = scores.masked_fill(~seen, -math.inf).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2) @ layer.W_o.t()


def t5_bias(table: Tensor, offset: Tensor, causal: bool) -> Tensor:
    """By the formula of the paper's code, in floating point."""
    buckets = 32 if causal else 16
    distance, exact = offset.abs(), buckets // 2
    far = (distance.clamp(min=1) / exact).log() / math.log(128 / exact) * (buckets - exact)
    row = torch.where(distance < exact, distance, (exact + (far + 1e-9).long()).clamp(max=buckets - 1))
    return table[row if causal else row + 16 * (offset > 0)].permute(2, 0, 1)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("window", [None, 1, 2, 5, 130, 200])
@pytest.mark.parametrize("options", [{}, {"positions": "rotary", "kv_heads": 2}, {"positions": "t5"}], ids=str)
def test_equals_a_masked_softmax(causal: bool, window: int | None, options: dict[str, Any]) -> None:
    layer = make(heads=4, causal=causal, window=window, **options)
    x = torch.randn(2, 300, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x), masked_softmax(layer, x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("window", [2, 9, 150])
def test_long_chunks_continue_a_window(window: int) -> None:
    layer = make(heads=2, window=window, positions="rotary")
    x = torch.randn(1, 400, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    cache = torch.zeros(1, window - 1, 2, 4, dtype=torch.float64)
    state, parts = (cache, cache, torch.zeros(1, dtype=torch.int64)), []
    for part in x.split((170, 1, 29, 200), dim=1):
        y, *state = layer.extend(part, *state)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 1), layer(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("positions", [None, "rotary", "t5"])
def test_rows_of_a_batch_may_stand_at_different_positions(positions: str | None) -> None:
    layer = make(heads=2, window=6, positions=positions)
    x = torch.randn(2, 30, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    cache = torch.zeros(1, 5, 2, 4, dtype=torch.float64)
    start = (cache, cache, torch.zeros(1, dtype=torch.int64))
    states = [layer.extend(x[row : row + 1, :seen], *start)[1:] for row, seen in ((0, 2), (1, 11))]
    joined = [torch.cat(pair) for pair in zip(*states, strict=True)]
    assert joined[2].tolist() == [2, 11]
    chunk = torch.stack((x[0, 2:9], x[1, 11:18]))
    y, *after = layer.extend(chunk, *joined)
    whole = layer(x)
    torch.testing.assert_close(y, torch.stack((whole[0, 2:9], whole[1, 11:18])), rtol=1e-9, atol=1e-9)
    y, *_ = layer.step(torch.stack((x[0, 9], x[1, 18])), *after)
    torch.testing.assert_close(y, torch.stack((whole[0, 9], whole[1, 18])), rtol=1e-9, atol=1e-9)


def test_a_window_costs_length_times_window() -> None:
    def flops(length: int, window: int | None) -> int:
        layer = make(heads=2, window=window)
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            layer(torch.zeros(1, length, 8, dtype=torch.float64))
        return counter.get_total_flops()

    assert flops(1024, 16) == 4 * flops(256, 16)
    assert flops(1024, None) > 10 * flops(256, None)


@pytest.mark.parametrize("name", SPADE)
def test_equals_spade(name: str) -> None:
    """Local attention of microsoft/EfficientLongSequenceModeling with its weights, radius and buckets."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        data = {key: torch.from_numpy(file[key]) for key in file.files if key not in ("config", "meta")}
    radius, causal = int(data["local_radius"]), "causal" in name
    arguments: dict[str, Any] = {"heads": int(data["num_heads"]), "causal": causal}
    arguments["window"] = radius + 1 if causal else 2 * radius + 1
    if "rel_bias" in data:
        arguments |= {"positions": "t5", "buckets": int(data["num_buckets"])}
        arguments |= {"max_distance": int(data["max_distance"])}
    layer = make(width=data["x"].shape[2], **arguments)
    layer.load_state_dict({key: data[key] for key in layer.state_dict()})
    torch.testing.assert_close(layer(data["x"]), data["y"], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("window", [None, 1, 4, 5])
@pytest.mark.parametrize(
    "options", [{}, {"positions": "rotary", "kv_heads": 2}, {"positions": "t5", "bias": True}], ids=str
)
def test_what_stands_behind_the_end_is_not_seen(window: int | None, options: dict[str, Any]) -> None:
    layer = make(heads=4, causal=False, window=window, **options)
    whole = torch.randn(4, 13, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    lengths = torch.tensor([13, 6, 1, 0])
    padding = (torch.arange(13) >= lengths[:, None])[..., None]
    padded = whole.masked_fill(padding, torch.nan).requires_grad_()
    y = layer(padded, lengths=lengths)
    assert torch.isfinite(y).all()
    found = torch.autograd.grad(y.masked_fill(padding, 0.0).square().sum(), [padded, *layer.parameters()])

    alone = whole.clone().requires_grad_()
    each = [layer(alone[b : b + 1, :n]) for b, n in enumerate(lengths)]
    for b, one in enumerate(each):
        torch.testing.assert_close(y[b : b + 1, : one.shape[1]], one, rtol=1e-9, atol=1e-9)
    wanted = torch.autograd.grad(sum(one.square().sum() for one in each), [alone, *layer.parameters()])
    for f, w in zip(found, wanted, strict=True):
        torch.testing.assert_close(f, w, rtol=1e-9, atol=1e-9)


def test_dropout_is_for_training() -> None:
    layer = make(heads=2, window=3, dropout=0.5)
    x = torch.randn(1, 40, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    still = layer(x)
    torch.manual_seed(0)
    assert not torch.equal(layer.train()(x), still)
    assert torch.equal(layer.eval()(x), still)


@pytest.mark.parametrize(
    ("width", "arguments", "message"),
    [
        (64, {"heads": 5}, "attention: 64 channels are not divisible by 5 heads"),
        (64, {"heads": 8, "kv_heads": 3}, "attention: 8 heads are not divisible by 3 kv_heads"),
        (
            6,
            {"heads": 2, "positions": "rotary"},
            "heads of 3 channels cannot be turned: the number must be even",
        ),
        (
            8,
            {"heads": 2, "positions": "t5", "causal": False, "buckets": 7},
            "7 buckets are not shared by two directions: where not causal the number must be even, and at least 4",
        ),
        (
            8,
            {"heads": 2, "positions": "t5", "max_distance": 16},
            "max_distance must be above 16, the distances that have a bucket each",
        ),
    ],
)
def test_misfits(width: int, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(Misfit) as caught:
        OPERATOR.infer(AttentionParams(**arguments), (StreamType.real(width),))
    assert message in str(caught.value)
    assert caught.value.argument in arguments
