"""`ssd` and `ssd_scan` from their definition: every head's state, one time after the other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.ops.ssd.layer import SSD, Heads, SSDScan


def reference(layer: SSD, x: Tensor, *, rate: float = 1.0, dt: Tensor | None = None) -> Tensor:
    return scan(layer, x, x @ layer.W_B.T, x @ layer.W_C.T, x @ layer.W_dt.T, rate, dt)


def reference_scan(
    layer: SSDScan, x: Tensor, b: Tensor, c: Tensor, delta: Tensor, *, rate: float = 1.0, dt: Tensor | None = None
) -> Tensor:
    return scan(layer, x, b, c, delta, rate, dt)


def scan(layer: Heads, x: Tensor, b: Tensor, c: Tensor, delta: Tensor, rate: float, dt: Tensor | None) -> Tensor:
    """(B, L, ED) from the zero state."""
    gaps = rate * (torch.ones_like(x[..., 0]) if dt is None else dt)
    group = torch.arange(len(layer.A_log)) // (len(layer.A_log) // layer.p.groups)
    h, outputs = torch.zeros(len(x), len(layer.A_log), layer.p.head, layer.states, dtype=x.dtype), []
    for t in range(x.shape[1]):
        gap, x_t = gaps[:, t, None], x[:, t].unflatten(1, (-1, layer.p.head))
        b_t, c_t = (s[:, t].unflatten(1, (layer.p.groups, -1))[:, group] for s in (b, c))
        step = F.softplus(delta[:, t] + layer.dt_bias)
        if layer.p.limit is not None:
            step = step.clamp(layer.p.limit.low, layer.p.limit.high)
        decay = torch.exp(-torch.exp(layer.A_log) * gap * step)
        weight = step if layer.p.steps == "decay" else gap * step
        h = decay[..., None, None] * h + torch.einsum("bh,bhp,bhn->bhpn", weight, x_t, b_t)
        y = torch.einsum("bhpn,bhn->bhp", h, c_t)
        outputs.append((y if layer.D is None else y + layer.D[:, None] * x_t).flatten(1))
    return torch.stack(outputs, 1) if outputs else torch.zeros_like(x)
