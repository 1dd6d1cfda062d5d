"""Layers that write a native step: over the samples of all operators, the same numbers as by their own step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.step_program import Buffer, Slot, StepProgram, Stream
from smrdsl.lowering.layers import draw_for
from smrdsl.ops.contract import Operator, Params, State, Streams, shared
from smrdsl.ops.registry import operators
from tests.native.kernels import close, needs_library

pytestmark = needs_library
STEPS = 6
PYTHON = {"adaptive_softmax", "attend", "attention", "flip", "match"}
"""The operators without a native step."""
SAMPLES = [
    pytest.param(op, p, inputs, id=f"{op.name}-{number}")
    for op in operators().values()
    if "input" not in op.families and op.name not in PYTHON
    for number, (p, inputs) in enumerate(op.samples)
    if not op.looks_ahead(p)
]


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def a_layer(op: Operator, p: Params, inputs: Streams) -> nn.Module:
    """A layer off its initial values, in evaluation."""
    layer = op.load_layer()(p, inputs, op.infer(p, inputs)).eval()
    if hasattr(layer, "reset_parameters"):
        layer.reset_parameters(draw_for(0, op.name))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=source(1)))
        for buffer in layer.buffers():
            buffer.add_(torch.rand(buffer.shape, generator=source(2)))
    return layer


def sample(type_: StreamType, batch: int, t: int) -> Tensor:
    if type_.kind == "index":
        return torch.randint(type_.vocab or 1, (batch,), generator=source(t))
    return torch.randn(batch, type_.width, generator=source(t))


def slots_of(kinds: dict[str, State], batch: int) -> list[Slot]:
    return [Slot(batch, tuple(int(d) for d in kind.shape), kind.index) for kind in kinds.values()]


def entry(type_: StreamType, batch: int) -> Stream:
    index = type_.kind == "index"
    tensor = torch.zeros(batch, 1 if index else type_.width, dtype=torch.int64 if index else torch.float32)
    return Stream(Buffer.of(tensor), 0, tensor.shape[1])


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("op", "p", "inputs"), SAMPLES)
@torch.no_grad()
def test_a_native_step_is_the_step(op: Operator, p: Any, inputs: Streams, batch: int) -> None:
    layer, output = a_layer(op, p, inputs), op.infer(p, inputs)
    tied = [torch.randn(q.shape, generator=source(3)) for q in shared(op, p, inputs, output).values()]
    kinds = op.state(p, inputs, output)
    program, slots, streams = StepProgram(batch), slots_of(kinds, batch), tuple(entry(i, batch) for i in inputs)
    y = layer.write_step(program, streams, tuple(slots), *tied)  # type: ignore[operator]
    if y is None:
        assert not program.instructions, "a layer that has no native step writes nothing"
        pytest.skip("no native step with these arguments")
    y.buffer.stays = True
    program.finish()
    state = [torch.zeros(batch, *s.shape, dtype=torch.int64 if s.index else torch.float32) for s in slots]
    for t in range(STEPS):
        given = [sample(i, batch, t + STEPS * n) for n, i in enumerate(inputs)]
        for stream, x in zip(streams, given, strict=True):
            stream.view().copy_(x.view(batch, -1))
        program.run(0, len(program.instructions))
        wanted, *state = layer.step(*given, *tied, *state) if kinds else (layer(*given, *tied),)  # type: ignore[operator]
        close(y.view(), wanted, 1e-5)
        for slot, value in zip(slots, state, strict=True):
            assert slot.get().shape == value.shape
            if value.numel():
                close(slot.get(), value, 1e-5)


def test_which_operators_have_none() -> None:
    def writes(op: Operator) -> bool:
        return "input" in op.families or hasattr(op.load_layer(), "write_step")

    assert {name for name, op in operators().items() if not writes(op)} == PYTHON
