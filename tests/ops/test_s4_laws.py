"""What s4d and s4 promise for any arguments: one meaning, whichever way they run, and numbers that hold in float32.

The contract tests say so for the samples; here arguments, lengths and gaps are drawn.
"""

from __future__ import annotations

import copy
import math
import zlib
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Range
from smrdsl.ops.registry import operators

CORES = ("s4d", "s4")
STRATEGIES = ("conv", "scan", "recurrent")
INITS = {"s4d": ("lin", "inv", "legs", "quad", "real", "rand"), "s4": ("legs", "fout", "legt", "lagt")}


def draw(name: str) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def make(name: str, width: int, dtype: torch.dtype = torch.float64, **arguments: object) -> nn.Module:
    op, stream = operators()[name], (StreamType.real(width),)
    p = op.params(**arguments)
    layer = op.load_layer()(p, stream, op.infer(p, stream))
    layer.reset_parameters(draw)
    return layer.to(dtype)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    assert found.shape == wanted.shape
    if not wanted.numel():
        return 0.0
    found, wanted = found.detach().double(), wanted.detach()
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-30))


def gradients(layer: nn.Module, u: Tensor, **timing: Any) -> list[Tensor]:
    """Of a fixed mix of the outputs, by the input and every parameter."""
    u = u.clone().requires_grad_()
    y = layer(u, **timing)
    mix = numbers(*y.shape, seed=9).to(y.dtype)
    return list(torch.autograd.grad(y, [u, *layer.parameters()], mix))


@st.composite
def cores(draw: st.DrawFn) -> tuple[nn.Module, Any]:
    """A layer of any arguments, and its reference."""
    name = draw(st.sampled_from(CORES))
    copies, share = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    layer = make(
        name,
        copies * share,
        state=2 * draw(st.integers(2, 6)),
        init=draw(st.sampled_from(INITS[name])),
        disc=draw(st.sampled_from(["zoh", "bilinear"])),
        steps=draw(st.sampled_from(["both", "decay"])),
        copies=copies,
        skip=draw(st.booleans()),
        bidirectional=draw(st.booleans()),
        dt=Range(low=0.01, high=0.5),
    )
    return layer, operators()[name].load_reference()


@st.composite
def timings(draw: st.DrawFn, batch: int, length: int) -> dict[str, Any]:
    """Neither, a rate, gaps, or both."""
    seed = draw(st.integers(0, 9))
    gaps = 2 * torch.rand(batch, length, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    every = {"rate": draw(st.sampled_from([0.5, 2.0])), "dt": gaps}
    return {name: value for name, value in every.items() if draw(st.booleans())}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(case=cores(), length=st.sampled_from([0, 1, 2, 7, 20, 33, 66]), data=st.data())
def test_every_way_to_run_is_the_definition(case: tuple[nn.Module, Any], length: int, data: st.DataObject) -> None:
    layer, reference = case
    u = numbers(2, length, len(layer.log_dt))
    timing = data.draw(timings(2, length))
    wanted = reference(layer, u, **timing)
    for strategy in STRATEGIES:
        layer.strategy = strategy
        assert apart(layer(u, **timing), wanted) < 1e-9, strategy


@settings(max_examples=40, deadline=None, derandomize=True)
@given(case=cores(), cuts=st.lists(st.integers(0, 40), min_size=1, max_size=5), data=st.data())
def test_chunks_of_any_sizes_are_the_whole(case: tuple[nn.Module, Any], cuts: list[int], data: st.DataObject) -> None:
    layer, _ = case
    if layer.p.bidirectional:
        with pytest.raises(AssertionError, match="both ways"):
            layer.extend(numbers(1, 3, len(layer.log_dt)), numbers(1, len(layer.log_dt), layer.p.state))
        return
    length, width = sum(cuts), len(layer.log_dt)
    u, x, outputs = numbers(2, length, width), torch.zeros(2, width, layer.p.state, dtype=torch.float64), []
    timing = data.draw(timings(2, length))
    gaps = timing.pop("dt", None)
    for part, start in zip(u.split(cuts, 1), torch.tensor([0, *cuts]).cumsum(0).tolist(), strict=False):
        layer.strategy = data.draw(st.sampled_from(STRATEGIES))
        more = {} if gaps is None else {"dt": gaps[:, start : start + part.shape[1]]}
        y, x = layer.extend(part, x, **timing, **more)
        outputs.append(y)
    whole = layer(u, **timing, **({} if gaps is None else {"dt": gaps}))
    assert apart(torch.cat(outputs, 1), whole) < 1e-9
    x = torch.zeros_like(x)
    for t in range(min(length, 12)):
        more = {} if gaps is None else {"dt": gaps[:, t]}
        y, x = layer.step(u[:, t], x, **timing, **more)
        assert apart(y, whole[:, t]) < 1e-8


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", CORES)
def test_gradients_do_not_depend_on_the_way(name: str, bidirectional: bool, timed: bool) -> None:
    layer = make(name, 4, state=16, bidirectional=bidirectional, copies=2)
    u = numbers(2, 80, 4)
    timing = {"dt": numbers(2, 80).abs()} if timed else {"rate": torch.tensor(1.5)}
    layer.strategy = "recurrent"
    wanted = gradients(layer, u, **timing)
    for strategy in ("conv", "scan"):
        layer.strategy = strategy
        for found, exact in zip(gradients(layer, u, **timing), wanted, strict=True):
            assert apart(found, exact) < 1e-9


@pytest.mark.parametrize(("name", "init"), [("s4d", "lin"), ("s4d", "real"), ("s4", "fout")])
def test_modes_without_a_frequency_learn_one(name: str, init: str) -> None:
    """Powers of a real number have zeros in them, through which gradients have to pass."""
    layer = make(name, 2, state=8, init=init, dt=Range(low=0.1, high=0.5))
    u = numbers(1, 30, 2)
    mix = numbers(1, 30, 2, seed=9)
    wanted = torch.autograd.grad(operators()[name].load_reference()(layer, u), layer.A_imag, mix)[0]
    assert wanted[layer.A_imag == 0].abs().min() > 1e-6
    for strategy in STRATEGIES:
        layer.strategy = strategy
        assert apart(torch.autograd.grad(layer(u), layer.A_imag, mix)[0], wanted) < 1e-9


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", CORES)
@torch.no_grad()
def test_what_is_kept_in_inference_follows_the_parameters(name: str, strategy: str) -> None:
    layer = make(name, 3, state=8)
    layer.strategy = strategy
    u, x = numbers(2, 30, 3), torch.zeros(2, 3, 8).double()
    before = layer(u), layer.step(u[:, 0], x)[0]
    assert torch.equal(layer(u), before[0])
    assert torch.equal(layer.step(u[:, 0], x)[0], before[1])
    assert apart(layer(u, rate=2.0), before[0]) > 1e-2
    assert torch.equal(layer(u), before[0])
    layer.C.data.mul_(2.0)
    layer.log_dt.add_(0.1)
    fresh = copy.deepcopy(layer)
    assert torch.equal(layer(u), fresh(u))
    assert torch.equal(layer.step(u[:, 0], x)[0], fresh.step(u[:, 0], x)[0])
    assert apart(layer(u), before[0]) > 1e-2
    assert layer.float()(u.float()).dtype == torch.float32


@pytest.mark.parametrize("steps", ["both", "decay"])
@pytest.mark.parametrize("disc", ["zoh", "bilinear"])
@pytest.mark.parametrize("name", CORES)
def test_equal_gaps_are_a_rate(name: str, disc: str, steps: str) -> None:
    layer = make(name, 3, state=8, disc=disc, steps=steps)
    u = numbers(2, 20, 3)
    wanted = layer(u, rate=2.0)
    assert apart(layer(u, dt=torch.full((2, 20), 2.0, dtype=torch.float64)), wanted) < 1e-10
    assert apart(layer(u, rate=torch.tensor(4.0), dt=torch.full((2, 20), 0.5, dtype=torch.float64)), wanted) < 1e-10
    assert apart(wanted, layer(u)) > 1e-3


@pytest.mark.parametrize("name", CORES)
def test_a_rate_scales_the_step_and_gaps_of_decay_leave_the_input_alone(name: str) -> None:
    layer = make(name, 2, state=4, disc="zoh", skip=False)
    slower = copy.deepcopy(layer)
    with torch.no_grad():
        slower.log_dt += math.log(0.3)
    u = numbers(1, 30, 2)
    assert apart(layer(u, rate=0.3), slower(u)) < 1e-12

    events = make(name, 2, state=4, disc="zoh", skip=False, steps="decay")
    impulse = torch.zeros(1, 5, 2, dtype=torch.float64)
    impulse[:, 0] = 1
    far, near = events(impulse, rate=3.0), events(impulse)
    assert torch.allclose(far[:, 0], near[:, 0])
    assert torch.allclose(far[:, 1], events(torch.nn.functional.pad(impulse, (0, 0, 0, 5)))[:, 3])


@pytest.mark.parametrize(("name", "init", "state"), [("s4d", "lin", 64), ("s4d", "legs", 256), ("s4", "legs", 64)])
@pytest.mark.parametrize("strategy", ["conv", "scan"])
def test_float32_keeps_its_digits(name: str, init: str, state: int, strategy: str) -> None:
    """Output and gradients at length 1024; the powers are squared in float64."""
    layer = make(name, 2, torch.float32, state=state, init=init)
    exact = copy.deepcopy(layer).double()
    layer.strategy = strategy
    u = numbers(1, 1024, 2)
    assert apart(layer(u.float()), exact(u)) < 3e-6
    for found, wanted in zip(gradients(layer, u.float()), gradients(exact, u), strict=True):
        assert apart(found, wanted) < 1e-5


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("strategy", ["conv", "scan"])
def test_long_sequences_stay_finite(name: str, strategy: str) -> None:
    layer = make(name, 1, torch.float32, state=16, dt=Range(low=0.001, high=0.1))
    layer.strategy = strategy
    for gradient in gradients(layer, numbers(1, 16_384, 1).float()):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", CORES)
def test_half_precision_streams_are_computed_in_float32(name: str) -> None:
    layer = make(name, 4, torch.float32, state=8)
    u = numbers(2, 40, 4).bfloat16()
    wanted = layer(u.float())
    for strategy in STRATEGIES:
        layer.strategy = strategy
        with torch.autocast("cpu", torch.bfloat16):
            y, x = layer.extend(u, torch.zeros(2, 4, 8))
            assert apart(layer(u.float()), wanted.double()) < 1e-5
        assert y.dtype == torch.bfloat16
        assert x.dtype == torch.float32
        assert apart(y, wanted.double()) < 1e-2


@pytest.mark.parametrize(("name", "bidirectional"), [("s4d", False), ("s4", True)])
def test_one_exported_graph_takes_any_batch_and_length(name: str, bidirectional: bool) -> None:
    layer = make(name, 3, state=4, bidirectional=bidirectional)
    layer.strategy = "scan"
    free = {0: torch.export.Dim("batch", min=2), 1: torch.export.Dim("length", min=2)}
    program = torch.export.export(layer, (numbers(3, 20, 3),), dynamic_shapes=(free,)).module()
    for batch, length in ((2, 2), (5, 7), (3, 64), (2, 300)):
        u = numbers(batch, length, 3)
        assert apart(program(u), layer(u)) < 1e-9


class Chunk(nn.Module):
    """`extend` as a module of its own, for export."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer.extend(u, x)


def test_an_exported_chunk_carries_its_state() -> None:
    layer = make("s4", 3, state=4)
    batch, length = torch.export.Dim("batch", min=2), torch.export.Dim("length", min=2)
    shapes = ({0: batch, 1: length}, {0: batch})
    program = torch.export.export(Chunk(layer), (numbers(3, 20, 3), numbers(3, 3, 4)), dynamic_shapes=shapes).module()
    for length in (2, 130):
        u, x = numbers(2, length, 3), numbers(2, 3, 4)
        for found, wanted in zip(program(u, x), layer.extend(u, x), strict=True):
            assert apart(found, wanted) < 1e-9


def test_both_passes_compile_in_one_graph() -> None:
    layer = make("s4d", 2, state=4)
    u = numbers(2, 12, 2)
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for found, wanted in zip(gradients(compiled, u), gradients(layer, u), strict=True):
        assert apart(found, wanted) < 1e-9
