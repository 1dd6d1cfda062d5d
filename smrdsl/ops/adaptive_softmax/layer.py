"""How `adaptive_softmax` computes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.initial import Draw, fill_xavier
from smrdsl.ops.adaptive_softmax import AdaptiveSoftmaxParams, parameters
from smrdsl.ops.contract import Streams


class AdaptiveSoftmax(nn.Module):
    """(..., D) -> (..., vocab), log-probabilities."""

    def __init__(self, p: AdaptiveSoftmaxParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        own = parameters(p, inputs, output)
        for name, parameter in own.items():
            self.register_parameter(name, nn.Parameter(torch.empty(parameter.shape)))
        self.banded = [name for name in own if name != "clusters"]

    def reset_parameters(self, draw: Draw) -> None:
        for name, parameter in self.named_parameters():
            fill_xavier(parameter, draw(name))

    def forward(self, x: Tensor, *tied: Tensor) -> Tensor:
        """`tied` are weight_0, then weight_i and proj_i in turn, where the step has none of its own."""
        first, *others = tied or [self.get_parameter(name) for name in self.banded]
        scores = torch.cat((F.linear(x, first), F.linear(x, self.get_parameter("clusters"))), dim=-1)
        words, clusters = F.log_softmax(scores, dim=-1).split((first.shape[0], scores.shape[-1] - first.shape[0]), -1)
        parts = [words]
        for i, (weight, proj) in enumerate(zip(others[::2], others[1::2], strict=True)):
            tail = F.log_softmax(F.linear(x @ proj, weight), dim=-1)
            parts.append(clusters[..., i, None] + tail)
        return torch.cat(parts, dim=-1)
