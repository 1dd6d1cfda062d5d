"""`s6` from its definition: every channel's state, one time after the other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.ops.s6.layer import S6


def reference(layer: S6, x: Tensor, *, rate: float = 1.0, dt: Tensor | None = None) -> Tensor:
    gaps = rate * (torch.ones_like(x[..., 0]) if dt is None else dt)
    n, r = layer.A_log.shape[1], layer.W_dt.shape[1]
    a = -torch.exp(layer.A_log)
    h, outputs = torch.zeros(x.shape[0], *a.shape, dtype=x.dtype), []
    for t in range(x.shape[1]):
        x_t, gap = x[:, t], gaps[:, t, None]
        d, b, c = torch.split(x_t @ layer.W_x.T, [r, n, n], -1)
        delta = F.softplus(d @ layer.W_dt.T + layer.b_dt)
        weight = delta if layer.p.steps == "decay" else gap * delta
        h = torch.exp((gap * delta)[..., None] * a) * h + (weight * x_t)[..., None] * b[:, None]
        outputs.append((h * c[:, None]).sum(-1))
    y = torch.stack(outputs, 1) if outputs else torch.zeros_like(x)
    return y if layer.D is None else y + layer.D * x
