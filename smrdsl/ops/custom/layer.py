"""How a custom operator is looked at before it is built, and how it computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from smrdsl.core.errors import SmrError
from smrdsl.core.types import Dim, StreamType
from smrdsl.kernels.initial import Draw
from smrdsl.ops.contract import Misfit, Parameter, Params, State, Streams
from smrdsl.ops.custom.blueprint import Blueprint, Facts

TRIALS = ((3, 7), (2, 11))
"""Batch and length of two runs: the axes in which their outputs differ are those."""


def examine(blueprint: Blueprint, p: Params, inputs: Streams) -> Facts:
    """Run the module on meta tensors. Raises `Misfit` if it fails or leaves no stream."""
    described = ", ".join(map(str, inputs))
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            module = blueprint.cls(**blueprint.arguments(p, inputs)).eval()
            outputs = [module(*(empty(i, *trial) for i in inputs)) for trial in TRIALS]
            alone = module(*(empty(i, 3, None) for i in inputs)) if blueprint.pointwise else None
            state = module.initial_state(3) if blueprint.steps else {}
    except Misfit:
        raise
    except Exception as error:  # whatever a stranger's module raises is the reason that it cannot stand here
        reason = f"{type(error).__name__}: {error}"
        raise Misfit(f"{blueprint.name}: {blueprint.cls.__name__} does not take {described}: {reason}") from error
    output = stream_type(blueprint.name, *outputs)
    if alone is not None and alone.shape != (3, output.width):
        raise Misfit(f"{blueprint.name}: it is pointwise, but turns (B, width) into {tuple(alone.shape)}")
    learned = {f"inner.{name}": Parameter(tuple(v.shape), decay=v.dim() > 1) for name, v in module.named_parameters()}
    return Facts(output, learned, state_types(blueprint.name, state, 3))


def empty(stream: StreamType, batch: int, length: int | None) -> Tensor:
    """A meta tensor of this type; no time axis if `length` is None."""
    sizes: dict[Dim, int | None] = {"B": batch, "L": length}
    shape = [size for d in stream.dims if (size := sizes.get(d, d if isinstance(d, int) else None)) is not None]
    return torch.empty(shape, dtype=torch.int64 if stream.kind == "index" else None, device="meta")


def stream_type(name: str, first: Any, second: Any) -> StreamType:
    """The type of what the two trials left."""
    axes = dict(zip(zip(*TRIALS, strict=True), ("B", "L"), strict=True))
    shapes: list[tuple[int, ...]] = [
        tuple(y.shape) if isinstance(y, Tensor) and y.is_floating_point() else () for y in (first, second)
    ]
    leading = tuple(axes.get(pair) for pair in zip(shapes[0][:-1], shapes[1][:-1], strict=False))
    if leading not in (("B",), ("B", "L")) or shapes[0][-1] != shapes[1][-1]:
        raise Misfit(
            f"{name}: forward must leave one tensor of reals, (batch, length, channels) or (batch, "
            f"channels); for batch {TRIALS[0][0]} and length {TRIALS[0][1]} it left {shapes[0] or first}"
        )
    return StreamType((*(axis for axis in leading if axis), shapes[0][-1]))


def state_types(name: str, state: Any, batch: int) -> dict[str, State]:
    types = {}
    for key, tensor in tensors(state).items():
        if tensor.shape[:1] != (batch,):
            raise Misfit(f"{name}: initial_state({batch}) must have the batch first, not {tuple(tensor.shape)}")
        if not tensor.is_floating_point() and tensor.dtype != torch.int64:
            raise Misfit(f"{name}: the state must be real or int64, not {tensor.dtype}")
        types[key] = State(tuple(tensor.shape[1:]), index=tensor.dtype == torch.int64)
    return types


def tensors(state: Any) -> dict[str, Tensor]:
    """The tensors of a state by name: a dict's own, `state` for one tensor, numbered ones for several."""
    if isinstance(state, dict):
        return state
    if isinstance(state, Tensor):
        return {"state": state}
    return {f"state_{number}": tensor for number, tensor in enumerate(state)}


class Custom(nn.Module):
    """The module inside, with the methods of a layer. Its parameters are named as there, after `inner.`."""

    def __init__(self, blueprint: Blueprint, p: Params, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.blueprint, self.arguments, self.output = blueprint, blueprint.arguments(p, inputs), output
        self.count = len(inputs)
        with torch.random.fork_rng(devices=[]):
            self.inner = blueprint.cls(**self.arguments)
            state = self.inner.initial_state(1) if blueprint.steps else ()
        self.form = type(state)
        self.keys = tuple(tensors(state))

    @torch.no_grad()
    def reset_parameters(self, draw: Draw) -> None:
        """Make the module anew with torch's generator seeded for this step, and take over its values."""
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.default_generator.manual_seed(draw("inner").initial_seed())
            fresh = self.blueprint.cls(**self.arguments)
        for old, new in zip(self.inner.parameters(), fresh.parameters(), strict=True):
            old.copy_(new)
        for old, new in zip(self.inner.buffers(), fresh.buffers(), strict=True):
            old.copy_(new)

    def initial_state(self, batch_size: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
        state = self._unpack(self.inner.initial_state(batch_size))
        return tuple(s.to(device, dtype if s.is_floating_point() else None) for s in state)

    def forward(self, *streams: Tensor) -> Tensor:
        return self.inner(*streams)

    def extend(self, *streams_and_state: Tensor) -> tuple[Tensor, ...]:
        """By the module's own `extend`, or step by step."""
        streams, state = streams_and_state[: self.count], streams_and_state[self.count :]
        if hasattr(self.inner, "extend"):
            y, after = self.inner.extend(*streams, self._pack(state))
            return y, *self._unpack(after)
        outputs = []
        for t in range(streams[0].shape[1]):
            y, *after = self.step(*(s[:, t] for s in streams), *state)
            state = tuple(after)
            outputs.append(y)
        return self._chunk(outputs, streams[0]), *state

    def step(self, *streams_and_state: Tensor) -> tuple[Tensor, ...]:
        streams, state = streams_and_state[: self.count], streams_and_state[self.count :]
        y, after = self.inner.step(*streams, self._pack(state))
        return y, *self._unpack(after)

    def _chunk(self, outputs: list[Tensor], x: Tensor) -> Tensor:
        if self.output.timed:
            return torch.stack(outputs, dim=1) if outputs else x.new_zeros(x.shape[0], 0, self.output.width)
        if not outputs:
            raise SmrError(
                f"{self.blueprint.name}: steps cannot tell what an empty chunk leaves; "
                f"give {self.blueprint.cls.__name__} a method extend(x, state) -> (y, state)"
            )
        return outputs[-1]

    def _pack(self, state: Sequence[Tensor]) -> Any:
        """The state as the module has it."""
        if issubclass(self.form, dict):
            return dict(zip(self.keys, state, strict=True))
        return state[0] if issubclass(self.form, Tensor) else tuple(state)

    def _unpack(self, state: Any) -> tuple[Tensor, ...]:
        named = tensors(state)
        return tuple(named[key] for key in self.keys)
