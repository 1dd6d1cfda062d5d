"""`smr` from its equations: responses, gate kernel and gate, one time after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from smrdsl.ops.smr.layer import Smr

GATES = {
    "sigmoid2": lambda p: 2 / (1 + torch.exp(-p)),
    "tanh1": lambda p: 1 + torch.tanh(p),
    "sigmoid": lambda p: 1 / (1 + torch.exp(-p)),
    "tanh": torch.tanh,
    "silu": lambda p: p / (1 + torch.exp(-p)),
    "identity": lambda p: p,
}


def reference(layer: Smr, u: Tensor) -> Tensor:
    zero = torch.zeros_like(u[:, 0])
    responses, outputs = [], []
    for t in range(u.shape[1]):
        r = zero
        for j in range(min(layer.m.shape[1], t + 1)):
            r = r + layer.m[:, j] * u[:, t - j]
        responses.append(r)
        p = r
        if layer.w is not None:
            p = zero
            for k in range(min(layer.w.shape[1], t + 1)):
                p = p + layer.w[:, k] * responses[t - k]
        if layer.M is not None:
            p = p @ layer.M.t()
        outputs.append(u[:, t] * GATES[layer.gate](p if layer.b is None else p + layer.b))
    return torch.stack(outputs, dim=1)
