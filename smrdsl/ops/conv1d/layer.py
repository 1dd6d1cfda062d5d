"""How `conv1d` computes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels import native_taps
from smrdsl.kernels.depthwise import depthwise, depthwise_step
from smrdsl.kernels.initial import Draw, fill, fill_linear
from smrdsl.kernels.lengths import silence
from smrdsl.kernels.native_taps import ShortFilter
from smrdsl.kernels.step_cores import write_convolution, write_taps
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.ops.contract import Streams
from smrdsl.ops.conv1d import Conv1dParams, before


class Conv1d(nn.Module):
    """(B, L, D) -> (B, L, width). State: `inputs` (B, K - 1, D), the last ones, oldest first."""

    def __init__(self, p: Conv1dParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.depthwise, self.identity = p.depthwise, p.init == "identity"
        self.before, self.after = before(p), p.kernel - 1 - before(p)
        shape = (output.width, p.kernel) if p.depthwise else (output.width, inputs[0].width, p.kernel)
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(output.width)) if p.bias else None

    def reset_parameters(self, draw: Draw) -> None:
        if not self.identity:
            fill_linear(self.weight, self.bias, draw, ("weight", "bias"))
            return
        same = torch.zeros(self.weight.shape)
        same[..., self.before] = 1.0 if self.depthwise else torch.eye(self.weight.shape[0])
        fill(self.weight, same)
        if self.bias is not None:
            fill(self.bias, 0.0)

    def forward(self, x: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        x = x if lengths is None else silence(x, lengths)
        if self.depthwise and not self.after:
            return self.short_filter().run(x, None)
        return self._convolve(F.pad(x, (0, 0, self.before, self.after)))

    def extend(self, x: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        if self.depthwise:
            y = self.short_filter().run(x, inputs)
        else:
            y = self._convolve(torch.cat((inputs, x), dim=1))
        return y, native_taps.last(x, inputs)

    def step(self, x: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.cat((inputs, x[:, None]), dim=1)
        if self.depthwise:
            y = self._shift(depthwise_step(seen, self.weight))
        else:
            y = F.linear(seen.transpose(1, 2).flatten(1), self.weight.flatten(1), self.bias)
        return y, seen[:, 1:]

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        if self.depthwise:
            return write_taps(program, streams[0], self.weight, self.bias, None, state[0])
        return write_convolution(program, streams[0], self.weight, self.bias, state[0])

    def short_filter(self) -> ShortFilter:
        """What it is where it is depthwise and causal."""
        return ShortFilter(self.weight, self.bias)

    def _convolve(self, x: Tensor) -> Tensor:
        """(B, L + K - 1, D) -> (B, L, width)."""
        if self.depthwise:
            return self._shift(depthwise(x, self.weight))
        if x.shape[1] < self.weight.shape[2]:
            return x.new_empty(x.shape[0], 0, self.weight.shape[0])
        return F.conv1d(x.transpose(1, 2), self.weight, self.bias).transpose(1, 2)

    def _shift(self, y: Tensor) -> Tensor:
        return y if self.bias is None else y + self.bias
