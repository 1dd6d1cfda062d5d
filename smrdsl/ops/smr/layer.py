"""How `smr` computes: memories and gate kernel fold into one filter of memory + kernel - 1 taps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels import native_taps
from smrdsl.kernels.depthwise import depthwise_step
from smrdsl.kernels.initial import Draw, fill, fill_uniform
from smrdsl.ops.contract import Streams
from smrdsl.ops.smr import ONE_AT, SmrParams, remembered, starts_as_identity


class Smr(nn.Module):
    """(B, L, D) -> (B, L, D). State: `inputs` (B, memory + kernel - 2, D), the last ones, oldest first."""

    def __init__(self, p: SmrParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        width = inputs[0].width
        self.gate, self.identity, self.past = p.gate, starts_as_identity(p), remembered(p)
        self.m = nn.Parameter(torch.empty(width, p.memory))
        self.w = nn.Parameter(torch.empty(width, p.kernel)) if p.kernel > 1 else None
        self.M = nn.Parameter(torch.empty(width, width)) if p.mix else None
        self.b = nn.Parameter(torch.empty(width)) if p.bias else None

    def reset_parameters(self, draw: Draw) -> None:
        if self.M is not None:
            fill(self.M, torch.eye(self.M.shape[0]))
        if self.identity:
            self._reset_to_identity()
            return
        bound = self.m.shape[1] ** -0.5
        fill_uniform(self.m, bound, draw("m"))
        if self.w is not None:
            fill_uniform(self.w, self.w.shape[1] ** -0.5, draw("w"))
        if self.b is not None:
            fill_uniform(self.b, bound, draw("b"))

    def _reset_to_identity(self) -> None:
        fill(self.m, 0.0)
        if self.w is not None:
            present = torch.zeros(self.w.shape)
            present[:, 0] = 1.0
            fill(self.w, present)
        if self.b is not None:
            fill(self.b, ONE_AT[self.gate])

    def forward(self, u: Tensor) -> Tensor:
        return self._run(u, None)

    def extend(self, u: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self._run(u, inputs), native_taps.last(u, inputs)

    def step(self, u: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.cat((inputs, u[:, None]), dim=1)
        return self._gated(u, depthwise_step(seen, self.taps())), seen[:, 1:]

    def _run(self, u: Tensor, before: Tensor | None) -> Tensor:
        """A sequence after the inputs before it, or zeros: in one pass where no matrix stands in between."""
        if self.M is None:
            return native_taps.convolve(u, before, self.taps(), self.b, self.gate)
        return self._gated(u, native_taps.convolve(u, before, self.taps(), None))

    def taps(self) -> Tensor:
        """Memories and gate kernel as one filter, oldest input first, (D, memory + kernel - 1)."""
        if self.w is None:
            return self.m.flip(1)
        return fold(self.m, self.w).flip(1)

    def _gated(self, u: Tensor, response: Tensor) -> Tensor:
        if self.M is not None:
            p = F.linear(response, self.M, self.b)
        else:
            p = response if self.b is None else response + self.b
        return u * native_taps.GATES[self.gate](p)


def fold(m: Tensor, w: Tensor) -> Tensor:
    """Two filters as one: h[d, n] = sum_{j + k = n} m[d, j] w[d, k], (D, N), (D, K) -> (D, N + K - 1)."""
    count = w.shape[1]
    shifted = F.pad(m, (count - 1, count - 1)).unfold(1, count, 1)
    return (shifted * w.flip(1)[:, None]).sum(dim=2)
