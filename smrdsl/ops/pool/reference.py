"""`pool` from its equation: one time after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from smrdsl.ops.pool.layer import Pool


def reference(layer: Pool, x: Tensor) -> Tensor:
    length = x.shape[1]
    y = x[:, 0]
    for t in range(1, length):
        if layer.kind == "last":
            y = x[:, t]
        elif layer.kind == "max":
            y = torch.maximum(y, x[:, t])
        else:
            y = y + x[:, t]
    return y / length if layer.kind == "mean" else y
