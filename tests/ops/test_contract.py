"""What every operator promises, over operators() x samples: a new operator is tested here by being there.

Axes: B batch, L length. Everything in float64, parameters moved off their initial values by noise,
evaluation mode.
"""

from __future__ import annotations

import subprocess
import sys
import zlib
from typing import Any

import pytest
import torch
from torch import Tensor

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Operator, Params, Streams, shared
from smrdsl.ops.registry import operators

BATCH, LENGTH = 2, 23
CHUNKS = (3, 0, 1, 7, 12)
"""Lengths of the chunks of a stream, together LENGTH."""

SAMPLES = [
    pytest.param(op, p, inputs, id=f"{op.name}-{number}")
    for op in operators().values()
    if "input" not in op.families
    for number, (p, inputs) in enumerate(op.samples)
]
every_sample = pytest.mark.parametrize(("op", "p", "inputs"), SAMPLES)


class Case:
    """A layer of an operator for one of its samples, with inputs for it."""

    def __init__(self, op: Operator, p: Params, inputs: Streams) -> None:
        self.op, self.p, self.inputs = op, p, inputs
        self.output = op.infer(p, inputs)
        self.state = op.state(p, inputs, self.output)
        self.layer = build(op, p, inputs)
        noise = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in self.layer.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, dtype=parameter.dtype, generator=noise))

    def streams(self, batch: int = BATCH, length: int = LENGTH) -> tuple[Tensor, ...]:
        g = torch.Generator().manual_seed(2)
        return tuple(random_stream(i, batch, length, g) for i in self.inputs)

    def tied(self) -> tuple[Tensor, ...]:
        """The weights that a tied step is given after its streams."""
        shapes = untied_shapes(self.op, self.p, self.inputs)
        g = torch.Generator().manual_seed(3)
        return tuple(torch.randn(shape, dtype=torch.float64, generator=g) for shape in shapes)

    def forward(self, *streams: Tensor) -> Tensor:
        return self.layer(*streams, *self.tied())

    def zero_state(self, batch: int = BATCH) -> tuple[Tensor, ...]:
        make = getattr(self.layer, "initial_state", None)
        if make is not None:
            return make(batch, torch.device("cpu"), torch.float64)
        return tuple(
            torch.zeros(
                (batch, *(0 if d == "T" else int(d) for d in s.shape)),
                dtype=torch.int64 if s.index else torch.float64,
            )
            for s in self.state.values()
        )

    def chunk(self, streams: tuple[Tensor, ...], state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        if not self.state:
            return self.forward(*streams), ()
        y, *state_after = self.layer.extend(*streams, *state)
        return y, tuple(state_after)

    def step(self, streams: tuple[Tensor, ...], state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        if not self.state:
            return self.forward(*streams), ()
        y, *state_after = self.layer.step(*streams, *state)
        return y, tuple(state_after)

    @property
    def streamable(self) -> bool:
        return not self.op.looks_ahead(self.p) and all(i.timed for i in self.inputs)


def draw(name: str) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def build(op: Operator, p: Params, inputs: Streams) -> torch.nn.Module:
    torch.set_default_dtype(torch.float64)
    try:
        layer = op.load_layer()(p, inputs, op.infer(p, inputs))
    finally:
        torch.set_default_dtype(torch.float32)
    if hasattr(layer, "reset_parameters"):
        layer.reset_parameters(draw)
    return layer.eval()


def untied_shapes(op: Operator, p: Params, inputs: Streams) -> list[tuple[int, ...]]:
    return [q.shape for q in shared(op, p, inputs, op.infer(p, inputs)).values()]


def random_stream(i: StreamType, batch: int, length: int, g: torch.Generator) -> Tensor:
    shape = shape_of(i, batch, length)
    if i.kind == "index":
        return torch.randint(i.vocab or 0, shape, generator=g)
    return torch.randn(shape, dtype=torch.float64, generator=g)


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def shape_of(t: StreamType, batch: int, length: int) -> tuple[int, ...]:
    sizes = {"B": batch, "2B": 2 * batch, "L": length}
    return tuple(sizes[d] if isinstance(d, str) else d for d in t.dims)


@every_sample
def test_declared_parameters_are_those_of_the_layer(op: Operator, p: Params, inputs: Streams) -> None:
    declared = op.parameters(p, inputs, op.infer(p, inputs))
    found = {name: tuple(v.shape) for name, v in build(op, p, inputs).named_parameters()}
    assert found == {name: v.shape for name, v in declared.items()}


@every_sample
@pytest.mark.parametrize(("batch", "length"), [(BATCH, LENGTH), (0, 3), (2, 0), (2, 1), (1, 1)])
def test_forward_leaves_the_inferred_shape(op: Operator, p: Params, inputs: Streams, batch: int, length: int) -> None:
    case = Case(op, p, inputs)
    y = case.forward(*case.streams(batch, length))
    assert tuple(y.shape) == shape_of(case.output, batch, length)
    assert torch.isfinite(y).all()


@every_sample
def test_chunks_and_steps_are_the_whole(op: Operator, p: Params, inputs: Streams) -> None:
    case = Case(op, p, inputs)
    if not case.streamable:
        pytest.skip("has no step")
    streams = case.streams()
    check_stream(case, [tuple(s.split(CHUNKS, dim=1)[i] for s in streams) for i in range(len(CHUNKS))], case.chunk)
    check_stream(case, [tuple(s[:, t] for s in streams) for t in range(LENGTH)], case.step)


def check_stream(case: Case, parts: list[tuple[Tensor, ...]], advance: Any) -> None:
    """Together the parts leave what `forward` leaves; a pooled value is that of what was seen."""
    state, outputs, seen = case.zero_state(), [], 0
    for part in parts:
        before = [s.clone() for s in state]
        y, after = advance(part, state)
        for old, kept in zip(state, before, strict=True):
            assert torch.equal(old, kept), "the state was changed in place"
        state, seen = after, seen + (part[0].shape[1] if advance == case.chunk else 1)
        if not case.output.timed:
            close(y, case.forward(*(s[:, :seen] for s in case.streams())))
        outputs.append(y if advance == case.chunk else y[:, None])
        check_state(case, state, seen)
    if case.output.timed:
        close(torch.cat(outputs, dim=1), case.forward(*case.streams()))


def check_state(case: Case, state: tuple[Tensor, ...], seen: int) -> None:
    assert len(state) == len(case.state)
    for tensor, declared in zip(state, case.state.values(), strict=True):
        assert tuple(tensor.shape) == (BATCH, *(seen if d == "T" else d for d in declared.shape))
        assert tensor.dtype == (torch.int64 if declared.index else torch.float64)


@every_sample
def test_reference_agrees(op: Operator, p: Params, inputs: Streams) -> None:
    if op.reference is None:
        pytest.skip("the layer is its own definition")
    case = Case(op, p, inputs)
    streams = case.streams()
    wanted = op.load_reference()(case.layer, *streams)
    close(case.forward(*streams), wanted)
    if not case.output.timed or not list(case.layer.parameters()):
        return
    parameters = list(case.layer.parameters())
    cotangent = torch.linspace(-1, 1, wanted.numel(), dtype=torch.float64).view_as(wanted)
    for found, exact in zip(
        torch.autograd.grad(case.forward(*streams), parameters, cotangent),
        torch.autograd.grad(wanted, parameters, cotangent),
        strict=True,
    ):
        assert (found - exact).abs().max() <= 1e-8 * exact.abs().max().clamp(min=1)


@every_sample
def test_strategies_agree(op: Operator, p: Params, inputs: Streams) -> None:
    if not op.strategies:
        pytest.skip("computes in one way")
    case = Case(op, p, inputs)
    streams = case.streams()
    assert case.layer.strategy == op.strategies[0]
    wanted = case.forward(*streams)
    half = tuple(s[:, : LENGTH // 2] for s in streams)
    _, state = case.chunk(half, case.zero_state())
    for strategy in op.strategies:
        case.layer.strategy = strategy
        close(case.forward(*streams), wanted)
        if case.streamable:
            y, _ = case.chunk(tuple(s[:, LENGTH // 2 :] for s in streams), state)
            close(y, wanted[:, LENGTH // 2 :])


@every_sample
def test_steps_as_trained_change_nothing(op: Operator, p: Params, inputs: Streams) -> None:
    if not op.uses_step(p):
        pytest.skip("does not mind the sampling step")
    case = Case(op, p, inputs)
    streams = case.streams()
    wanted = case.forward(*streams)
    close(case.layer(*streams, rate=1.0), wanted)
    close(case.layer(*streams, dt=torch.ones(BATCH, LENGTH, dtype=torch.float64)), wanted)


@every_sample
def test_gradients_reach_all_and_inputs_stay(op: Operator, p: Params, inputs: Streams) -> None:
    case = Case(op, p, inputs)
    streams = case.streams()
    kept = [s.clone() for s in streams]
    learned = [s.requires_grad_() for s in streams if s.is_floating_point()]
    case.forward(*streams).square().sum().backward()
    for name, parameter in case.layer.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert all(s.grad is not None and torch.isfinite(s.grad).all() for s in learned)
    assert all(torch.equal(s, k) for s, k in zip(streams, kept, strict=True)), "an input was changed in place"


@every_sample
def test_compiles_without_a_break(op: Operator, p: Params, inputs: Streams) -> None:
    case = Case(op, p, inputs)
    streams = case.streams()
    torch._dynamo.reset()
    close(
        torch.compile(case.layer, fullgraph=True, backend="eager")(*streams, *case.tied()),
        case.forward(*streams),
    )


@every_sample
def test_initial_values_follow_the_seed_alone(op: Operator, p: Params, inputs: Streams) -> None:
    torch.manual_seed(0)
    wanted = build(op, p, inputs)
    torch.manual_seed(1)
    found = build(op, p, inputs)
    if not list(found.parameters()):
        return
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.fill_(torch.nan)
    before = torch.get_rng_state()
    found.reset_parameters(draw)
    assert torch.equal(before, torch.get_rng_state()), "the global generator was used"
    for (name, a), b in zip(found.named_parameters(), wanted.parameters(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in operators().values()])
def test_manual_is_complete(op: Operator) -> None:
    assert op.summary
    assert len(op.samples) >= 2
    assert all(field.description for field in op.params.model_fields.values())
    for p, inputs in op.samples:
        output = op.infer(p, inputs)
        cost = op.cost(p, inputs, output, 1000, op.strategies[0] if op.strategies else "")
        assert cost.flops >= 0
        assert cost.activations >= 0


def test_the_registry_needs_no_torch() -> None:
    code = "import sys, smrdsl.ops.registry as r; r.operators(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
