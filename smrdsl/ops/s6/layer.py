"""How `s6` computes: step, B and C from the input, then a selective scan."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels import native_selective, selective, selective_peer
from smrdsl.kernels.any_length import known
from smrdsl.kernels.core import Gap, in_full, in_precision
from smrdsl.kernels.initial import Draw, fill, fill_linear, fill_uniform
from smrdsl.kernels.native_calls import fits, loops
from smrdsl.kernels.native_selective import NativeRun
from smrdsl.kernels.step_cores import write_selective
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.kernels.steps import fill_bias, sampled
from smrdsl.ops.contract import Streams
from smrdsl.ops.s6 import OPERATOR, S6Params, parameters

MANY = 1 << 17
"""Numbers in the states of all sequences from which on a native kernel is quicker for a single step too."""


class S6(nn.Module):
    """(B, L, ED) -> (B, L, ED). State: `h` (B, ED, N)."""

    def __init__(self, p: S6Params, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.p = p
        self.strategy = OPERATOR.strategies[0]
        shapes = {name: q.shape for name, q in parameters(p, inputs, output).items()}
        self.W_x = nn.Parameter(torch.empty(shapes["W_x"]))
        self.W_dt = nn.Parameter(torch.empty(shapes["W_dt"]))
        self.b_dt = nn.Parameter(torch.empty(shapes["b_dt"]))
        self.A_log = nn.Parameter(torch.empty(shapes["A_log"]))
        self.D = nn.Parameter(torch.empty(shapes["D"])) if p.skip else None

    def reset_parameters(self, draw: Draw) -> None:
        fill_linear(self.W_x, None, draw, ("W_x", ""))
        fill_uniform(self.W_dt, self.W_dt.shape[1] ** -0.5, draw("W_dt"))
        fill_bias(self.b_dt, self.p.dt.low, self.p.dt.high, draw("b_dt"))
        fill(self.A_log, torch.log(torch.arange(self.p.state) + 1.0))
        if self.D is not None:
            fill(self.D, 1.0)

    def forward(self, x: Tensor, *, rate: Gap | None = None, dt: Tensor | None = None) -> Tensor:
        h = in_precision(x).new_zeros(x.shape[0], *self.A_log.shape)
        return self._sequence(x, h, rate, dt, selective_peer.run)[0]

    def extend(
        self, x: Tensor, h: Tensor, *, rate: Gap | None = None, dt: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        return self._sequence(x, h, rate, dt, native_selective.run)

    def step(self, x: Tensor, h: Tensor, *, rate: Gap | None = None, dt: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if not known(x.shape[0]) or h.numel() < MANY:
            return self._run(selective.advance, x, h, rate, dt)
        gaps = None if dt is None else dt.unsqueeze(1)
        y, after = self._run(selective.recur, x.unsqueeze(1), h, rate, gaps)
        return y.squeeze(1), after

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        rank, states = self.W_dt.shape[1], self.A_log.shape[1]
        d, b, c = program.linear(streams[0], self.W_x).split(rank, states, states)
        delta = program.linear(d, self.W_dt)
        return write_selective(program, (streams[0], delta, b, c), self.b_dt, self._a(), self.D, state[0])

    def _sequence(
        self, x: Tensor, h: Tensor, rate: Gap | None, dt: Tensor | None, natively: NativeRun
    ) -> tuple[Tensor, Tensor]:
        if 0 in x.shape[:2]:
            return x.clone(), h.clone()
        u = in_precision(x)
        loop = self.strategy == "recurrent" and known(x.shape[1]) and (fits(u, gpu=True) or loops(u))
        return self._run(selective.recur if loop else selective.scan, x, h, rate, dt, natively)

    def _run(
        self,
        run: selective.Run,
        x: Tensor,
        h: Tensor,
        rate: Gap | None,
        dt: Tensor | None,
        natively: NativeRun = native_selective.run,
    ) -> tuple[Tensor, Tensor]:
        """`run` over x (..., ED), from the state h. The maps follow autocast, what they leave is in full precision."""
        rank, states = self.W_dt.shape[1], self.A_log.shape[1]
        d, b, c = F.linear(x, self.W_x).split((rank, states, states), -1)
        d = F.linear(d, self.W_dt)
        with in_full(x):
            u, skip = in_precision(x), None if self.D is None else in_precision(self.D)
            b, c, h = in_precision(b), in_precision(c), in_precision(h)
            decay = self.p.steps == "decay"
            if run is selective.recur and native_selective.can_run(u, h, rate, dt):
                own = in_precision(d), in_precision(self.b_dt), native_selective.gaps_of(u, rate, dt)
                y, after = natively((u, *own, self._a(), b, c, skip, h), decay)
            else:
                steps, weights = sampled(d, self.b_dt, rate, dt, decay=decay)
                y, after = run(weights * u, steps, self._a(), b, c, h)
                y = y if skip is None else torch.addcmul(y, u, skip)
            return y.to(x.dtype), after.to(h.dtype)

    def _a(self) -> Tensor:
        """A (ED, N)"""
        return -torch.exp(in_precision(self.A_log))
