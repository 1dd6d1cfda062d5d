"""How `pool` computes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.lengths import over, silence, valid
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.ops.contract import Streams
from smrdsl.ops.pool import PoolParams


class Pool(nn.Module):
    """(B, L, D) -> (B, D).

    State: `value` (B, D), the sum, the largest or the last so far, and for mean and max `count` (B).
    """

    def __init__(self, p: PoolParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.kind = p.kind

    def forward(self, x: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        if x.shape[1] == 0:
            return x.new_zeros(x.shape[0], x.shape[2])
        if lengths is not None:
            return self._padded(x, lengths)
        if self.kind == "last":
            return x[:, -1]
        if self.kind == "max":
            return x.amax(dim=1)
        return x.mean(dim=1) if self.kind == "mean" else x.sum(dim=1)

    def extend(self, x: Tensor, value: Tensor, *count: Tensor) -> tuple[Tensor, ...]:
        length = x.shape[1]
        if length == 0:
            return self._pooled(value, *count), value, *count
        counts = tuple(c + length for c in count)
        if self.kind == "last":
            value = x[:, -1]
        elif self.kind == "max":
            value = larger(value, x.amax(dim=1), *count)
        else:
            value = value + x.sum(dim=1)
        return self._pooled(value, *counts), value, *counts

    def step(self, x: Tensor, value: Tensor, *count: Tensor) -> tuple[Tensor, ...]:
        return self.extend(x[:, None], value, *count)

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        x, value = streams[0], state[0].rows()
        if self.kind == "last":
            program.copy(x, value)
            return x
        if self.kind == "sum":
            return program.accumulate(x, value)
        return program.pool(x, value, state[1].plain(), largest=self.kind == "max")

    def _padded(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The same where sequences end at their lengths (B)."""
        if self.kind == "last":
            at = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, x.shape[2])
            value = x.gather(1, at).squeeze(1)
        elif self.kind == "max":
            value = torch.where(over(valid(lengths, x.shape[1]), x), x, -torch.inf).amax(dim=1)
        else:
            return self._pooled(silence(x, lengths).sum(dim=1), lengths)
        return torch.where(lengths[:, None] > 0, value, 0.0)

    def _pooled(self, value: Tensor, *count: Tensor) -> Tensor:
        if self.kind != "mean":
            return value
        return value / count[0].clamp(min=1)[:, None].to(value.dtype)


def larger(value: Tensor, new: Tensor, count: Tensor) -> Tensor:
    """The larger of the two; `new` where nothing was seen before."""
    return torch.where(count[:, None] == 0, new, torch.maximum(value, new))
