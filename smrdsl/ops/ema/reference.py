"""`ema` from its definition: every average by itself, one time after the other."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from smrdsl.ops.ema.layer import Ema


def reference(layer: Ema, x: Tensor) -> Tensor:
    width = x.shape[2]
    y = one_way(layer, slice(0, width), x)
    if layer.p.bidirectional:
        y = y + one_way(layer, slice(width, 2 * width), x.flip(1)).flip(1)
    return y if layer.omega is None else y + layer.omega * x


def one_way(layer: Ema, rows: slice, x: Tensor) -> Tensor:
    """(B, L, D) from the zero state, without omega."""
    p = torch.sigmoid(layer.delta)[rows]
    q = (1 - p * torch.sigmoid(layer.alpha)[rows]).to(torch.complex128 if layer.p.complex else torch.float64)
    if layer.theta is not None:
        phi = 2 * math.pi / layer.p.state * torch.sigmoid(layer.theta)[rows, None]
        n = torch.arange(1, layer.p.state + 1)
        q, gamma = q * torch.exp(1j * n * phi), torch.view_as_complex(layer.gamma)[rows]
    else:
        assert layer.beta is not None
        p, gamma = p * layer.beta[rows], layer.gamma[rows]
    h, outputs = torch.zeros(x.shape[0], *q.shape, dtype=q.dtype), []
    for t in range(x.shape[1]):
        h = q * h + p * x[:, t, :, None]
        y = (gamma * h).sum(-1) / math.sqrt(layer.p.state)
        outputs.append(y.real if y.is_complex() else y)
    return torch.stack(outputs, 1) if outputs else torch.zeros_like(x)
