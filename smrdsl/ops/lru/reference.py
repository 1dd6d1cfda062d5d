"""`lru` from its definition: in complex numbers, one time after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from smrdsl.ops.lru.layer import LRU


def reference(layer: LRU, u: Tensor) -> Tensor:
    lam = torch.exp(torch.complex(-torch.exp(layer.nu_log), torch.exp(layer.theta_log)))
    b, c = torch.view_as_complex(layer.B), torch.view_as_complex(layer.C)
    x, outputs = torch.zeros(u.shape[0], len(lam), dtype=lam.dtype), []
    for t in range(u.shape[1]):
        x = lam * x + torch.exp(layer.gamma_log) * (u[:, t].to(lam.dtype) @ b.mT)
        outputs.append((x @ c.mT).real)
    y = torch.stack(outputs, 1) if outputs else torch.zeros_like(u)
    return y if layer.D is None else y + layer.D * u
