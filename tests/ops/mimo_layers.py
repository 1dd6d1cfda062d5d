"""Layers of s5 and lru for their tests, and how to compare what they leave."""

from __future__ import annotations

import zlib
from typing import Any

import torch
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.ops.registry import operators

STRATEGIES = ("scan", "conv", "recurrent")


def draw(name: str) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def make(name: str, width: int, dtype: torch.dtype = torch.float64, **arguments: Any) -> nn.Module:
    """A layer at its initial values."""
    op, stream = operators()[name], (StreamType.real(width),)
    p = op.params(**arguments)
    layer = op.load_layer()(p, stream, op.infer(p, stream)).double()
    layer.reset_parameters(draw)
    return layer.to(dtype)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    assert found.shape == wanted.shape
    found, wanted = found.detach().double(), wanted.detach().double()
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-30)) if wanted.numel() else 0.0


def gradients(layer: nn.Module, u: Tensor, **timing: Any) -> list[Tensor]:
    """Of a fixed mix of the outputs, by the input and every parameter."""
    u = u.clone().requires_grad_()
    y = layer(u, **timing)
    return list(torch.autograd.grad(y, [u, *layer.parameters()], numbers(*y.shape, seed=9).to(y.dtype)))
