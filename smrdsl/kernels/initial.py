"""Initial values: fill a parameter in place from a generator of its own, on whatever device it lies.

Numbers are drawn on the CPU and copied, so that a seed means the same values on every device.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Draw = Callable[[str], torch.Generator]
"""Name of a parameter -> the generator of its initial values."""


@torch.no_grad()
def fill_uniform(parameter: Tensor, bound: float, generator: torch.Generator) -> None:
    """Uniform in -bound .. bound."""
    values = torch.empty(parameter.shape, dtype=parameter.dtype, device="cpu")
    parameter.copy_(values.uniform_(-bound, bound, generator=generator))


@torch.no_grad()
def fill_normal(parameter: Tensor, std: float, generator: torch.Generator) -> None:
    """Normal with mean 0."""
    values = torch.empty(parameter.shape, dtype=parameter.dtype, device="cpu")
    parameter.copy_(values.normal_(0.0, std, generator=generator))


@torch.no_grad()
def fill(parameter: Tensor, values: Tensor | float) -> None:
    """A constant, or the values given."""
    parameter.copy_(torch.as_tensor(values))


def fill_xavier(weight: Tensor, generator: torch.Generator) -> None:
    """Uniform within sqrt(6 / (inputs + outputs)) of a matrix (Glorot & Bengio 2010)."""
    fill_uniform(weight, math.sqrt(6.0 / max(1, sum(weight.shape))), generator)


def fill_linear(weight: Tensor, bias: Tensor | None, draw: Draw, names: tuple[str, str]) -> None:
    """Both uniform within 1 / sqrt(inputs of one output), the initial values of torch's Linear and Conv1d.

    `weight` is (outputs, inputs, ...); `names` are those of weight and bias for `draw`.
    """
    bound = 1.0 / math.sqrt(math.prod(weight.shape[1:]))
    fill_uniform(weight, bound, draw(names[0]))
    if bias is not None:
        fill_uniform(bias, bound, draw(names[1]))
