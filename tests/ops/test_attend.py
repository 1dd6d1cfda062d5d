"""`attend` against Mega's own numbers, on streams, in padded batches, exported, and where it is used wrongly."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.export import Dim, export
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import smrdsl
from smrdsl.core.errors import SmrError
from smrdsl.core.types import StreamType
from smrdsl.ops.attend import OPERATOR, AttendParams
from smrdsl.ops.attend.layer import Attend
from smrdsl.ops.attend.reference import reference
from smrdsl.ops.contract import Misfit

GOLDEN = Path(__file__).parent / "golden"
MEGA = sorted(p.stem for p in GOLDEN.glob("mega_layer_*.npz"))


def make(widths: tuple[int, int, int] = (4, 4, 6), **arguments: Any) -> Attend:
    """A layer in float64 whose biases are large, so that a wrong one shows."""
    p, inputs = AttendParams(**arguments), tuple(StreamType.real(w) for w in widths)
    layer = Attend(p, inputs, OPERATOR.infer(p, inputs)).double().eval()
    layer.reset_parameters(lambda name: torch.Generator().manual_seed(zlib.crc32(name.encode())))
    for parameter in layer.parameters():
        parameter.data.mul_(30.0)
    return layer


def streams(batch: int, length: int, widths: tuple[int, int, int] = (4, 4, 6)) -> list[Tensor]:
    g = torch.Generator().manual_seed(length)
    return [torch.randn(batch, length, w, dtype=torch.float64, generator=g) for w in widths]


def start(layer: Attend, batch: int) -> list[Tensor]:
    p, inputs = layer.p, tuple(StreamType.real(w) for w in (4, 4, 6))
    shapes = OPERATOR.state(p, inputs, inputs[2]).values()
    sizes = [[0 if d == "T" else int(d) for d in s.shape] for s in shapes]
    return [
        torch.zeros(batch, *size, dtype=torch.int64 if s.index else torch.float64)
        for size, s in zip(sizes, shapes, strict=True)
    ]


def close(found: Tensor, wanted: Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


# Mega


class Mega:
    """facebookresearch/mega's layer around `attend`, with its weights, by the formulas of golden/README.md."""

    def __init__(self, name: str) -> None:
        with np.load(GOLDEN / f"{name}.npz") as file:
            self.config: dict[str, Any] = json.loads(str(file["config"]))
            self.data = {key: torch.from_numpy(file[key]) for key in file.files if key not in ("config", "meta")}
        c = self.config
        arguments: dict[str, Any] = {"act": c["act"], "bias": c["rel"], "causal": c["causal"]}
        arguments |= {"max_length": c["maxp"]} if c["chunk"] < 0 else {"chunk": c["chunk"]}
        p, inputs = AttendParams(**arguments), tuple(StreamType.real(w) for w in (c["Z"], c["Z"], c["Hd"]))
        self.layer = Attend(p, inputs, OPERATOR.infer(p, inputs)).double().eval()
        self.layer.load_state_dict({key: self.data[key] for key in self.layer.state_dict()})

    def norm(self, x: Tensor) -> Tensor:
        data, kind = self.data, self.config["norm"]
        if kind == "layernorm":
            return F.layer_norm(x, x.shape[-1:], data["norm_weight"], data["norm_bias"], 1e-5)
        if kind == "batchnorm":
            deviation = (data["norm_running_var"] + 1e-5).sqrt()
            return (x - data["norm_running_mean"]) / deviation * data["norm_weight"] + data["norm_bias"]
        scale = data["norm_scalar"] if kind == "scalenorm" else data["norm_weight"]
        return x * (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt() * scale

    def ema(self, x: Tensor) -> Tensor:
        data, length, width = self.data, x.shape[1], x.shape[2]
        p = data["ema_delta"].sigmoid()
        q = 1 - p * data["ema_alpha"].sigmoid()
        powers = q[..., None] ** torch.arange(length, dtype=q.dtype)
        kernel = torch.einsum("dn,dnl->dl", data["ema_gamma"] * p * data["ema_beta"] / q.shape[1] ** 0.5, powers)
        lag = torch.arange(length)[:, None] - torch.arange(length)  # rows t, columns s
        y = torch.einsum("dts,bsd->btd", kernel[:width][:, lag.clamp(min=0)] * (lag >= 0), x)
        if self.config["bidir"]:
            y = y + torch.einsum("dts,bsd->btd", kernel[width:][:, (-lag).clamp(min=0)] * (lag <= 0), x)
        return F.silu(y + data["ema_omega"] * x)

    def before(self) -> tuple[list[Tensor], list[Tensor]]:
        """q, k and v; and u, r and hx, which close the layer."""
        data, c = self.data, self.config
        x = self.norm(data["x"]) if c["prenorm"] else data["x"]
        sizes = (c["D"], c["Z"], c["Hd"], c["D"])
        u, z, r, hx = F.linear(self.ema(x), data["W_mx"], data["b_mx"]).split(sizes, -1)
        q, k = (F.silu(z) * data["gamma"][row] + data["beta"][row] for row in (0, 1))
        return [q, k, F.silu(F.linear(x, data["W_v"], data["b_v"]))], [u.sigmoid(), F.silu(r), hx]

    def after(self, attended: Tensor, u: Tensor, r: Tensor, hx: Tensor) -> Tensor:
        x = self.data["x"]
        h = F.silu(hx + F.linear(attended * r, self.data["W_h"], self.data["b_h"]))
        y = x + u * (h - x)
        return y if self.config["prenorm"] else self.norm(y)


@pytest.mark.parametrize("name", MEGA)
def test_equals_mega(name: str) -> None:
    mega = Mega(name)
    (q, k, v), rest = mega.before()
    layer = mega.layer
    close(mega.after(layer(q, k, v), *rest), mega.data["y"])

    wanted = mega.data["attn_weights"]
    batch, chunks, size, _ = wanted.shape
    places = torch.eye(size, dtype=torch.float64).repeat(batch, chunks, 1)  # so that the output is the weights
    close(layer(q, k, places).unflatten(1, (chunks, size)), wanted)

    if not mega.config["causal"]:
        return
    rows = 0 if mega.config["chunk"] < 0 else mega.config["chunk"] - 1
    state = [torch.zeros(batch, rows, w, dtype=torch.float64) for w in (q.shape[2], v.shape[2])]
    state += [torch.zeros(batch, dtype=torch.int64)] if mega.config["chunk"] > 0 else []
    outputs = []
    for t in range(q.shape[1]):
        y, *state = layer.step(q[:, t], k[:, t], v[:, t], *state)
        outputs.append(y)
    close(mega.after(torch.stack(outputs, 1), *rest), mega.data["step_y"])


# Streams

KINDS: list[dict[str, Any]] = [
    {"chunk": 6, "bias": "simple"},
    {"chunk": 150, "act": "laplace", "bias": "rotary"},
    {"window": 6, "act": "relu2", "bias": "t5"},
    {"window": 200, "bias": "rotary"},
    {"bias": "t5"},
]


@pytest.mark.parametrize("arguments", KINDS, ids=str)
def test_any_chunks_continue_a_stream(arguments: dict[str, Any]) -> None:
    layer, whole = make(heads=2, **arguments), streams(2, 400)
    state, parts = start(layer, 2), []
    for size in zip(*(x.split((1, 170, 0, 29, 200), 1) for x in whole), strict=True):
        y, *state = layer.extend(*size, *state)
        parts.append(y)
    close(torch.cat(parts, 1), layer(*whole))


@pytest.mark.parametrize("arguments", KINDS[:4], ids=str)
def test_rows_of_a_batch_may_stand_at_different_positions(arguments: dict[str, Any]) -> None:
    layer, whole = make(heads=2, **arguments), streams(2, 40)
    seen = (2, 21)
    alone = [layer.extend(*(x[b : b + 1, :n] for x in whole), *start(layer, 1))[1:] for b, n in enumerate(seen)]
    state = [torch.cat(pair) for pair in zip(*alone, strict=True)]
    chunk = [torch.stack([x[b, n : n + 11] for b, n in enumerate(seen)]) for x in whole]
    y, *state = layer.extend(*chunk, *state)
    wanted = layer(*whole)
    close(y, torch.stack([wanted[b, n : n + 11] for b, n in enumerate(seen)]))
    y, *state = layer.step(*(torch.stack([x[b, n + 11] for b, n in enumerate(seen)]) for x in whole), *state)
    close(y, torch.stack([wanted[b, n + 11] for b, n in enumerate(seen)]))


# Definition and cost


@pytest.mark.parametrize("act", ["softmax", "laplace", "relu2"])
@pytest.mark.parametrize("bias", [None, "simple", "rotary", "t5"])
@pytest.mark.parametrize("place", [{}, {"chunk": 7}, {"window": 7}], ids=str)
@pytest.mark.parametrize("causal", [True, False])
def test_equals_its_definition(act: str, bias: str | None, place: dict[str, int], causal: bool) -> None:
    layer, inputs = make(act=act, bias=bias, causal=causal, max_length=30, **place), streams(2, 30)
    close(layer(*inputs), reference(layer, *inputs))


def test_a_bias_that_was_kept_follows_its_parameters() -> None:
    layer, inputs = make(bias="rotary"), streams(1, 9)
    with torch.no_grad():
        before = layer(*inputs)
        layer.rel_alpha.data[0] += 1.0
        after = layer(*inputs)
    assert not torch.equal(after, before)
    close(after, reference(layer, *inputs))


def flops(length: int, **arguments: Any) -> int:
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        make(**arguments)(*streams(1, length))
    return counter.get_total_flops()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("act", ["softmax", "laplace"])
def test_a_chunk_or_window_of_the_whole_sequence_changes_nothing(act: str, causal: bool) -> None:
    inputs = streams(2, 300)
    wanted = make(act=act, bias="rotary", causal=causal)(*inputs)
    close(make(act=act, bias="rotary", causal=causal, chunk=300)(*inputs), wanted)
    close(make(act=act, bias="rotary", causal=causal, window=300 if causal else 600)(*inputs), wanted)


@pytest.mark.parametrize("arguments", [{"chunk": 16}, {"window": 16}], ids=str)
@pytest.mark.parametrize("act", ["laplace", "softmax"])
def test_chunks_and_windows_cost_length_times_their_size(act: str, arguments: dict[str, int]) -> None:
    assert flops(1024, act=act, **arguments) == 4 * flops(256, act=act, **arguments)


def test_what_a_long_causal_sequence_does_not_see_is_mostly_left_out() -> None:
    assert flops(1024, act="laplace") == flops(1024, act="laplace", causal=False) * 36 // 64
    assert flops(1024, bias="t5") == flops(1024, bias="t5", causal=False) * 36 // 64


@pytest.mark.parametrize("arguments", [{"chunk": 128, "act": "laplace"}, {"window": 64, "act": "softmax"}], ids=str)
def test_long_sequences_in_float32(arguments: dict[str, Any]) -> None:
    layer = make(bias="rotary", **arguments).float()
    inputs = [x.float().requires_grad_() for x in streams(1, 16_384)]
    y = layer(*inputs)
    gradients = torch.autograd.grad(y.square().sum(), [*inputs, *layer.parameters()])
    assert all(torch.isfinite(x).all() for x in (y, *gradients))
    torch.testing.assert_close(y.double(), layer.double()(*(x.double() for x in inputs)), rtol=1e-4, atol=1e-4)


def test_dropout_is_for_training() -> None:
    for act in ("softmax", "laplace"):
        layer, inputs = make(act=act, dropout=0.5, chunk=8), streams(1, 40)
        still = layer(*inputs)
        torch.manual_seed(0)
        assert not torch.equal(layer.train()(*inputs), still)
        assert torch.equal(layer.eval()(*inputs), still)


@pytest.mark.parametrize("arguments", KINDS, ids=str)
def test_autocast_keeps_the_dtype_of_the_stream(arguments: dict[str, Any]) -> None:
    layer, inputs = make(heads=2, **arguments).float(), [x.float() for x in streams(2, 40)]
    wanted = layer(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(*inputs)
        first, *state = layer.step(
            *(x[:, 0] for x in inputs), *(s.float() if s.is_floating_point() else s for s in start(layer, 2))
        )
    assert y.dtype == first.dtype == state[0].dtype == torch.float32
    torch.testing.assert_close(y, wanted, rtol=0.1, atol=0.1)


# Padded batches

AHEAD: list[dict[str, Any]] = [
    {"act": act, "causal": False, **place}
    for act in ("softmax", "laplace", "relu2")
    for place in ({}, {"chunk": 4}, {"window": 4})
]


@pytest.mark.parametrize("arguments", AHEAD, ids=str)
def test_what_stands_behind_the_end_is_not_seen(arguments: dict[str, Any]) -> None:
    layer, whole = make(heads=2, bias="rotary", **arguments), streams(4, 13)
    lengths = torch.tensor([13, 6, 1, 0])
    padding = torch.arange(13) >= lengths[:, None]
    padded = [x.masked_fill(padding[..., None], torch.nan).requires_grad_() for x in whole]
    y = layer(*padded, lengths=lengths)
    assert torch.isfinite(y).all()
    y = y.masked_fill(padding[..., None], 0.0)
    inputs = [*padded, *layer.parameters()]
    found = torch.autograd.grad(y.square().sum(), inputs)

    alone = [x.clone().requires_grad_() for x in whole]
    total = torch.zeros((), dtype=torch.float64)
    for b, n in enumerate(lengths):
        one = layer(*(x[b : b + 1, :n] for x in alone))
        close(y[b : b + 1, :n], one)
        total = total + one.square().sum()
    for f, w in zip(found, torch.autograd.grad(total, [*alone, *layer.parameters()]), strict=True):
        close(f, w)


# Compiled models


TRACED: list[dict[str, Any]] = [
    {"bias": "t5", "act": "laplace"},
    {"chunk": 5, "bias": "simple", "act": "relu2", "causal": False},
    {"window": 5, "bias": "rotary"},
]


@pytest.mark.parametrize("arguments", TRACED, ids=str)
def test_exported_for_any_batch_and_length(arguments: dict[str, Any]) -> None:
    layer, any_size = make(heads=2, **arguments), {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}
    program = export(layer, tuple(streams(2, 12)), dynamic_shapes=((any_size,) * 3)).module()
    for batch, length in ((2, 12), (5, 301), (3, 2)):
        inputs = streams(batch, length)
        close(program(*inputs), layer(*inputs))


@pytest.mark.parametrize("arguments", TRACED, ids=str)
def test_two_compiled_graphs_serve_all_longer_lengths(arguments: dict[str, Any]) -> None:
    torch._dynamo.reset()
    layer = make(heads=2, **arguments)
    fast = torch.compile(layer, fullgraph=True, dynamic=True, backend="eager")
    with torch._dynamo.config.patch(recompile_limit=2):  # whole chunks need no padding
        for length in (40, 41, 63, 300):
            close(fast(*streams(2, length)), layer(*streams(2, length)))


def test_in_a_model() -> None:
    text = """model m { signal(channels=3)  linear(8)
      q := it |> linear(4)  k := it |> linear(4)  v := it |> linear(6)
      it := attend(q, k, v, act=laplace, bias=rotary, chunk=5)  linear(2) }"""
    model = smrdsl.compile_text(text, mode="infer")
    u = torch.randn(2, 17, 3, generator=torch.Generator().manual_seed(0))
    wanted, state = model(u), model.initial_state(2)
    assert wanted.shape == (2, 17, 2)
    for t in range(17):
        y, state = model.step(u[:, t], state)
        torch.testing.assert_close(y, wanted[:, t], rtol=1e-4, atol=1e-5)


# Mistakes


@pytest.mark.parametrize(
    ("widths", "arguments", "message"),
    [
        ((4, 6, 8), {}, "queries of 4 channels do not fit keys of 6; their widths must be equal"),
        ((4, 4, 8), {"heads": 8}, "the 4 channels of q are not divisible by 8 heads"),
        ((4, 4, 6), {"heads": 4}, "the 6 channels of v are not divisible by 4 heads"),
        ((6, 6, 6), {"heads": 2, "bias": "rotary"}, "heads of 3 channels of q cannot be turned"),
        ((4, 4, 6), {"chunk": 4, "window": 4}, "attend takes a chunk or a window, not both"),
        ((4, 4, 6), {"bias": "simple"}, "it needs max_length, the longest sequence, or a chunk or window"),
        (
            (4, 4, 6),
            {"bias": "simple", "chunk": 8, "max_length": 7},
            "max_length=7 does not reach over the chunk of 8",
        ),
        ((4, 4, 6), {"bias": "t5", "causal": False, "buckets": 5}, "the number must be even, and at least 4"),
        ((4, 4, 6), {"bias": "t5", "max_distance": 16}, "max_distance must be above 16"),
    ],
)
def test_misfits(widths: tuple[int, int, int], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(Misfit) as caught:
        OPERATOR.infer(AttendParams(**arguments), tuple(StreamType.real(w) for w in widths))
    assert message in str(caught.value)
    assert caught.value.argument in (None, *arguments)


def test_a_sequence_that_no_bias_was_learned_for_is_refused() -> None:
    layer = make(bias="simple", max_length=10)
    inputs = streams(1, 11)
    with pytest.raises(SmrError, match=r"the sequence is longer than max_length=10.*raise max_length"):
        layer(*inputs)
    y, *state = layer.extend(*(x[:, :10] for x in inputs), *start(layer, 1))
    assert torch.isfinite(y).all()
    with pytest.raises(SmrError, match="the sequence is longer than max_length=10"):
        layer.step(*(x[:, 10] for x in inputs), *state)
