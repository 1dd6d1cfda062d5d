"""How `smr` computes: memories and gate kernel fold into one filter of memory + kernel - 1 taps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels import ages, native_taps
from smrdsl.kernels.core import Gap
from smrdsl.kernels.depthwise import depthwise_step
from smrdsl.kernels.initial import Draw, fill, fill_uniform
from smrdsl.kernels.native_taps import ShortFilter
from smrdsl.kernels.step_cores import write_taps
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.ops.contract import Streams
from smrdsl.ops.smr import ONE_AT, SmrParams, remembered, starts_as_identity
from smrdsl.ops.smr.gain import error_gain


class Smr(nn.Module):
    """(B, L, D) -> (B, L, D). State: `inputs` (B, memory + kernel - 2, D), the last ones, oldest first.

    With steps=true twice as many, K, and `gaps` (B, K - 1), those between them.
    """

    def __init__(self, p: SmrParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        width = inputs[0].width
        self.gate, self.identity, self.past, self.steps = p.gate, starts_as_identity(p), remembered(p), p.steps
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

    def forward(self, u: Tensor, *, rate: Gap | None = None, dt: Tensor | None = None) -> Tensor:
        if not self.steps:
            return self._run(u, None)
        before = u.new_zeros(u.shape[0], self.past, u.shape[2])
        return self._run_timed(u, before, u.new_zeros(u.shape[0], max(0, self.past - 1)), gaps_of(u, rate, dt))

    def extend(
        self, u: Tensor, inputs: Tensor, *gaps: Tensor, rate: Gap | None = None, dt: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        if not self.steps:
            return self._run(u, inputs), native_taps.last(u, inputs)
        (before,), now = gaps, gaps_of(u, rate, dt)
        y = self._run_timed(u, inputs, before, now)
        return y, native_taps.last(u, inputs), native_taps.last(now.unsqueeze(2), before.unsqueeze(2)).squeeze(2)

    def step(
        self, u: Tensor, inputs: Tensor, *gaps: Tensor, rate: Gap | None = None, dt: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        if self.steps:
            now = None if dt is None else dt.unsqueeze(1)
            y, *after = self.extend(u.unsqueeze(1), inputs, *gaps, rate=rate, dt=now)
            return y.squeeze(1), *after
        seen = torch.cat((inputs, u[:, None]), dim=1)
        return self._gated(u, depthwise_step(seen, self.taps())), seen[:, 1:]

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream | None:
        if self.steps:
            return None
        if self.M is None:
            return write_taps(program, streams[0], self.taps(), self.b, self.gate, state[0])
        p = program.linear(write_taps(program, streams[0], self.taps(), None, None, state[0]), self.M, self.b)
        return program.gate(streams[0], p, self.gate)

    def short_filter(self) -> ShortFilter:
        """What it is where no matrix mixes channels and the filter does not mind the gaps."""
        assert self.M is None, "a matrix stands in between"
        assert not self.steps, "the filter minds the gaps"
        return ShortFilter(self.taps(), self.b, self.gate)

    def _run(self, u: Tensor, before: Tensor | None) -> Tensor:
        """A sequence after the inputs before it, or zeros: in one pass where no matrix stands in between."""
        if self.M is None:
            return self.short_filter().run(u, before)
        return self._gated(u, native_taps.convolve(u, before, self.taps(), None))

    def _run_timed(self, u: Tensor, before: Tensor, gaps_before: Tensor, gaps: Tensor) -> Tensor:
        """A sequence with its gaps after the inputs before it and theirs."""
        return self._gated(u, ages.respond(u, before, gaps, gaps_before, self.taps().flip(1)))

    def taps(self) -> Tensor:
        """Memories and gate kernel as one filter, oldest input first, (D, memory + kernel - 1)."""
        if self.w is None:
            return self.m.flip(1)
        return fold(self.m, self.w).flip(1)

    def error_gain(self, zeta: float) -> Tensor:
        """Gamma (D): by how much an error of an input with |u| <= zeta can grow, see `gain.py`."""
        return error_gain(self.taps(), self.M, self.b, self.gate, zeta)

    def _gated(self, u: Tensor, response: Tensor) -> Tensor:
        if self.M is not None:
            p = F.linear(response, self.M, self.b)
        else:
            p = response if self.b is None else response + self.b
        return u * native_taps.GATES[self.gate](p)


def gaps_of(u: Tensor, rate: Gap | None, dt: Tensor | None) -> Tensor:
    """The gaps before all samples, (B, L), from either or both."""
    gaps = u.new_ones(u.shape[:2]) if dt is None else dt.to(u.dtype)
    return gaps if rate is None else gaps * rate


def fold(m: Tensor, w: Tensor) -> Tensor:
    """Two filters as one: h[d, n] = sum_{j + k = n} m[d, j] w[d, k], (D, N), (D, K) -> (D, N + K - 1)."""
    count = w.shape[1]
    shifted = F.pad(m, (count - 1, count - 1)).unfold(1, count, 1)
    return (shifted * w.flip(1)[:, None]).sum(dim=2)
