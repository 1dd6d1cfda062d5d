"""What s5 promises for any arguments: one meaning, whichever way it runs, and numbers that hold in float32."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

import smrdsl
from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Misfit, Range
from smrdsl.ops.s5 import S5Params, infer
from smrdsl.ops.s5.reference import reference
from tests.ops.mimo_layers import STRATEGIES, apart, gradients, make, numbers


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data(), length=st.sampled_from([0, 1, 2, 7, 16, 20, 33, 66]))
def test_every_way_to_run_is_the_definition(data: st.DataObject, length: int) -> None:
    """Any arguments, with a rate, gaps, both or neither; in chunks too."""
    conj, blocks, size = data.draw(st.booleans()), data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
    layer = make(
        "s5",
        data.draw(st.integers(1, 5)),
        state=blocks * size * (2 if conj else 1),
        blocks=blocks,
        conj=conj,
        disc=data.draw(st.sampled_from(["zoh", "bilinear"])),
        steps=data.draw(st.sampled_from(["both", "decay"])),
        clip=data.draw(st.booleans()),
        skip=data.draw(st.booleans()),
        bidirectional=data.draw(st.booleans()),
        dt=Range(low=0.01, high=0.5),
    )
    u = numbers(2, length, layer.B.shape[1])
    every = {"rate": data.draw(st.sampled_from([0.5, 2.0])), "dt": 2 * numbers(2, length, seed=1).abs()}
    timing = {name: value for name, value in every.items() if data.draw(st.booleans())}
    wanted = reference(layer, u, **timing)
    for strategy in STRATEGIES:
        layer.strategy = strategy
        assert apart(layer(u, **timing), wanted) < 1e-9, strategy
    if layer.p.bidirectional:
        with pytest.raises(AssertionError, match="both ways"):
            layer.extend(u, torch.zeros(2, 2 * layer.p.stored).double())
        return
    cuts, x, outputs = sorted(data.draw(st.lists(st.integers(0, length), max_size=3))), None, []
    x = torch.zeros(2, 2 * layer.p.stored, dtype=torch.float64)
    gaps = timing.pop("dt", None)
    for start, end in zip([0, *cuts], [*cuts, length], strict=True):
        layer.strategy = data.draw(st.sampled_from(STRATEGIES))
        more = {} if gaps is None else {"dt": gaps[:, start:end]}
        y, x = layer.extend(u[:, start:end], x, **timing, **more)
        outputs.append(y)
    assert apart(torch.cat(outputs, 1), wanted) < 1e-9


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        {"bidirectional": True, "disc": "bilinear"},
        {"steps": "decay", "clip": True},
        {"state": 6, "conj": False},  # 3 states a block: Im Lambda of the middle one is 0
    ],
)
def test_gradients_are_those_of_the_definition(arguments: dict[str, Any], timed: bool) -> None:
    layer = make("s5", 3, blocks=2, dt=Range(low=0.01, high=0.5), **{"state": 8} | arguments)
    with torch.no_grad():
        layer.Lambda_re[0] = 0.1
    u = numbers(2, 40, 3)
    timing = {"dt": numbers(2, 40, seed=1).abs()} if timed else {"rate": 1.5}
    mix = numbers(2, 40, 3, seed=9)
    inputs = u.clone().requires_grad_()
    wanted = torch.autograd.grad(reference(layer, inputs, **timing), [inputs, *layer.parameters()], mix)
    for strategy in STRATEGIES:
        layer.strategy = strategy
        for found, exact in zip(gradients(layer, u, **timing), wanted, strict=True):
            assert apart(found, exact) < 1e-9, strategy


@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_counts_as_nothing(bidirectional: bool) -> None:
    """Whatever stands behind an end, NaN in a gap too, reaches neither a valid output nor a gradient."""
    layer = make("s5", 3, state=8, bidirectional=bidirectional)
    lengths, ends = torch.tensor([9, 4, 0]), [9, 4, 0]
    u, dt = numbers(3, 9, 3), numbers(3, 9, seed=1).abs()
    for timing in ({}, {"rate": 2.0}, {"dt": dt}):
        wanted = [
            layer(u[i : i + 1, :n], **{k: v[i : i + 1, :n] if k == "dt" else v for k, v in timing.items()})
            for i, n in enumerate(ends)
        ]
        spoilt, gaps = u.clone(), dt.clone()
        for i, n in enumerate(ends):
            spoilt[i, n:], gaps[i, n:] = torch.nan, torch.nan
        spoilt.requires_grad_()
        found = layer(spoilt, lengths=lengths, **(timing | ({"dt": gaps} if "dt" in timing else {})))
        for i, n in enumerate(ends):
            assert apart(found[i : i + 1, :n], wanted[i]) < 1e-12
        kept = torch.stack([torch.arange(9) < n for n in ends])
        loss = torch.where(kept[..., None], found, 0.0).square().sum()
        for gradient in torch.autograd.grad(loss, [spoilt, *layer.parameters()]):
            assert gradient.isfinite().all()


@pytest.mark.parametrize("steps", ["both", "decay"])
def test_equal_gaps_are_a_rate_but_for_the_last_one_backwards(steps: str) -> None:
    layer = make("s5", 3, state=8, steps=steps)
    u, twice = numbers(2, 20, 3), torch.full((2, 20), 2.0, dtype=torch.float64)
    assert apart(layer(u, dt=twice), layer(u, rate=2.0)) < 1e-10
    assert apart(layer(u, rate=2.0), layer(u)) > 1e-3
    both = make("s5", 3, state=8, bidirectional=True, skip=False, steps=steps)
    impulse = torch.zeros(1, 5, 3, dtype=torch.float64)
    impulse[:, 4] = 1
    apart_at_the_end = both(impulse, dt=twice[:1, :5]) - both(impulse, rate=2.0)
    assert (apart_at_the_end.abs().max() > 1e-6) == (steps == "both")


@pytest.mark.parametrize("disc", ["zoh", "bilinear"])
@pytest.mark.parametrize("clip", [False, True])
def test_modes_decay_wherever_lambda_lies_left(disc: str, clip: bool) -> None:
    layer = make("s5", 2, state=32, disc=disc, clip=clip, dt=Range(low=1e-4, high=10.0))
    with torch.no_grad():
        layer.Lambda_re.copy_(numbers(16) if clip else -numbers(16).abs() - 1e-3)
    for gap in (1e-3, 1.0, 100.0):
        a, _ = layer._sampler()(gap, None)
        re, im = a.same[:16], a.cross[16:]
        assert (torch.hypot(re, im) < 1).all()


def test_a_full_state_is_two_halves() -> None:
    """conj=true is conj=false with the conjugates written out."""
    half = make("s5", 3, state=8)
    full = make("s5", 3, state=8, conj=False)
    both = {name: torch.cat([v, v]) for name, v in half.state_dict().items() if name not in ("C", "D")}
    both |= {"C": torch.cat([half.C, half.C], 1), "D": half.D}
    mirror = torch.cat([torch.ones(4), -torch.ones(4)]).double()
    both["Lambda_im"] = both["Lambda_im"] * mirror
    for name, axis in (("B", 0), ("C", 1)):
        sign = mirror[:, None] if axis == 0 else mirror
        both[name] = torch.stack([both[name][..., 0], both[name][..., 1] * sign], -1)
    full.load_state_dict(both)
    u = numbers(2, 30, 3)
    assert apart(full(u), half(u)) < 1e-12


def test_a_stream_may_lie_in_memory_in_any_order() -> None:
    layer = make("s5", 3, state=8)
    u = numbers(3, 30, 2).permute(2, 1, 0)
    assert apart(layer(u), layer(u.contiguous())) < 1e-12


@pytest.mark.parametrize("strategy", STRATEGIES)
@torch.no_grad()
def test_what_is_kept_in_inference_follows_the_parameters(strategy: str) -> None:
    layer = make("s5", 3, state=8)
    layer.strategy = strategy
    u, x = numbers(2, 30, 3), torch.zeros(2, 8).double()
    before = layer(u), layer.step(u[:, 0], x)[0]
    assert torch.equal(layer(u), before[0])
    assert torch.equal(layer.step(u[:, 0], x)[0], before[1])
    assert apart(layer(u, rate=2.0), before[0]) > 1e-3
    assert torch.equal(layer(u), before[0])
    layer.Lambda_re.data.mul_(2.0)
    layer.log_step.add_(0.1)
    fresh = copy.deepcopy(layer)
    assert torch.equal(layer(u), fresh(u))
    assert torch.equal(layer.step(u[:, 0], x)[0], fresh.step(u[:, 0], x)[0])
    assert apart(layer(u), before[0]) > 1e-3
    assert layer.float()(u.float()).dtype == torch.float32


@pytest.mark.parametrize("strategy", ["scan", "conv"])
def test_float32_keeps_its_digits(strategy: str) -> None:
    layer = make("s5", 4, torch.float32, state=64, c_init="lecun_normal")
    exact = copy.deepcopy(layer).double()
    layer.strategy = strategy
    u = numbers(1, 1024, 4)
    assert apart(layer(u.float()), exact(u)) < 1e-5
    for found, wanted in zip(gradients(layer, u.float()), gradients(exact, u), strict=True):
        assert apart(found, wanted) < 1e-4


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("strategy", ["scan", "conv"])
def test_long_sequences_stay_finite(strategy: str, timed: bool) -> None:
    layer = make("s5", 2, torch.float32, state=16, bidirectional=True)
    layer.strategy = strategy
    timing = {"dt": numbers(1, 16_384, seed=1).abs().float()} if timed else {}
    u = numbers(1, 16_384, 2).float()
    assert layer(u, **timing).isfinite().all()
    for gradient in gradients(layer, u, **timing):
        assert gradient.isfinite().all()


def test_half_precision_streams_are_computed_in_float32() -> None:
    layer = make("s5", 4, torch.float32, state=8)
    u, dt = numbers(2, 40, 4).bfloat16(), numbers(2, 40, seed=1).abs().float()
    for timing in ({}, {"dt": dt}):
        wanted = layer(u.float(), **timing)
        for strategy in STRATEGIES:
            layer.strategy = strategy
            with torch.autocast("cpu", torch.bfloat16):
                y, x = layer.extend(u, torch.zeros(2, 8), **timing)
                assert apart(layer(u.float(), **timing), wanted) < 1e-5
            assert (y.dtype, x.dtype) == (torch.bfloat16, torch.float32)
            assert apart(y, wanted) < 1e-2


def test_one_exported_graph_takes_any_batch_and_length() -> None:
    layer = make("s5", 3, state=4, bidirectional=True)
    free = {0: torch.export.Dim("batch", min=2), 1: torch.export.Dim("length", min=2)}
    program = torch.export.export(layer, (numbers(3, 20, 3),), dynamic_shapes=(free,)).module()
    for batch, length in ((2, 2), (5, 7), (3, 64), (2, 300)):
        u = numbers(batch, length, 3)
        assert apart(program(u), layer(u)) < 1e-9


def test_gaps_and_states_are_exported_too() -> None:
    class Chunk(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = make("s5", 3, state=4)

        def forward(self, u: Tensor, x: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
            return self.layer.extend(u, x, dt=dt)

    batch, length = torch.export.Dim("batch", min=2), torch.export.Dim("length", min=2)
    shapes = ({0: batch, 1: length}, {0: batch}, {0: batch, 1: length})
    chunk = Chunk()
    inputs = numbers(3, 20, 3), numbers(3, 4), numbers(3, 20).abs()
    program = torch.export.export(chunk, inputs, dynamic_shapes=shapes).module()
    for length in (2, 130):
        other = numbers(2, length, 3), numbers(2, 4), numbers(2, length).abs()
        for found, wanted in zip(program(*other), chunk(*other), strict=True):
            assert apart(found, wanted) < 1e-9


def test_both_passes_compile_in_one_graph() -> None:
    layer = make("s5", 2, state=4, bidirectional=True)
    u, dt = numbers(2, 6, 2), numbers(2, 6).abs()
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for found, wanted in zip(gradients(compiled, u, dt=dt), gradients(layer, u, dt=dt), strict=True):
        assert apart(found, wanted) < 1e-9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"state": 5}, r"state=5: conjugate pairs need an even number; make it even, or say conj=false"),
        ({"state": 12, "blocks": 4}, r"blocks=4 of 3 states each: conjugate pairs need an even number"),
        ({"state": 10, "blocks": 4}, r"blocks=4 does not divide state=10"),
        ({"state": 0}, "greater than 0"),
        ({"init": "lin"}, "legs"),
        ({"c_init": "normal"}, "'trunc_normal', 'lecun_normal' or 'complex_normal'"),
        ({"dt": Range(low=0.0, high=0.1)}, "a step is above 0"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        S5Params(**arguments)


def test_it_stands_in_a_sequence_only() -> None:
    with pytest.raises(Misfit, match="embed"):
        infer(S5Params(), (StreamType.index(5),))
    with pytest.raises(smrdsl.SpecError, match="conjugate pairs need an even number"):
        smrdsl.compile_text("model m { signal(channels=3)  s5(state=5) }")
