"""How the activations compute, and how a host makes the one that it was given by name."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.initial import Draw
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.ops.contract import Streams
from smrdsl.ops.pointwise import GeluParams, find_activation

LAPLACE_MEAN = 0.707107
LAPLACE_STD = 0.282095


class Pointwise(nn.Module):
    """Abstract: the name of the subclass is the function, any shape goes."""

    def __init__(self, p: Any, inputs: Streams, output: StreamType) -> None:
        super().__init__()

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream | None:
        function = function_of(self)
        return None if function is None else program.map(streams[0], function)


class Gelu(Pointwise):
    def __init__(self, p: GeluParams, inputs: Streams, output: StreamType) -> None:
        super().__init__(p, inputs, output)
        self.approximate = p.approximate or "none"

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x, approximate=self.approximate)


class Silu(Pointwise):
    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x)


class Relu(Pointwise):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x)


class Relu2(Pointwise):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x).square()


class Tanh(Pointwise):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x)


class Sigmoid(Pointwise):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)


class Softplus(Pointwise):
    def forward(self, x: Tensor) -> Tensor:
        return F.softplus(x)


class Laplace(Pointwise):
    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * (1.0 + torch.erf((x - LAPLACE_MEAN) / (LAPLACE_STD * math.sqrt(2.0))))


NATIVE: dict[type[nn.Module], str] = {
    kind: kind.__name__.lower() for kind in (Silu, Relu, Relu2, Tanh, Sigmoid, Softplus, Laplace)
}


def function_of(act: nn.Module) -> str | None:
    """What a native step calls an activation; None for a user's own."""
    if type(act) is Gelu:
        return "gelu_tanh" if act.approximate == "tanh" else "gelu"
    return NATIVE.get(type(act))


def make_activation(name: str, stream: StreamType) -> nn.Module:
    """The layer of the activation called `name`, for the submodule `act` of its host."""
    op, p = find_activation(name, stream)
    return op.load_layer()(p, (stream,), stream)


def reset_activation(act: nn.Module, draw: Draw) -> None:
    """Fill what the activation learns, if it learns anything."""
    reset = getattr(act, "reset_parameters", None)
    if reset is not None:
        reset(lambda name: draw(f"act.{name}"))
