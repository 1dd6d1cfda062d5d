"""`conv1d` from its equation: one tap and one time after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from smrdsl.ops.conv1d.layer import Conv1d


def reference(layer: Conv1d, x: Tensor) -> Tensor:
    kernels = torch.diag_embed(layer.weight.t()) if layer.depthwise else layer.weight.permute(2, 0, 1)  # (K, width, D)
    outputs = []
    for t in range(x.shape[1]):
        y = x.new_zeros(x.shape[0], kernels.shape[1])
        for k in range(len(kernels)):
            s = t - layer.before + k
            if 0 <= s < x.shape[1]:
                y = y + x[:, s] @ kernels[k].t()
        outputs.append(y if layer.bias is None else y + layer.bias)
    return torch.stack(outputs, dim=1)
