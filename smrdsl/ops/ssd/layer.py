"""How `ssd` and `ssd_scan` compute: steps of heads, then a scan over them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels import heads
from smrdsl.kernels.any_length import known
from smrdsl.kernels.core import Gap, in_full, in_precision
from smrdsl.kernels.initial import Draw, fill, fill_linear
from smrdsl.kernels.step_cores import write_heads
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.kernels.steps import fill_bias, sampled
from smrdsl.ops.contract import Parameter, Streams
from smrdsl.ops.ssd import OPERATORS, ScanParams, SsdParams, parameters, parameters_scan, states


class Heads(nn.Module):
    """What both share. State: `h` (B, H, P, N)."""

    def __init__(self, p: SsdParams | ScanParams, inputs: Streams, own: dict[str, Parameter]) -> None:
        super().__init__()
        self.p = p
        self.states = states(p, inputs)
        self.strategy = OPERATORS[0].strategies[0]
        self.dt_bias = nn.Parameter(torch.empty(own["dt_bias"].shape))
        self.A_log = nn.Parameter(torch.empty(own["A_log"].shape))
        self.D = nn.Parameter(torch.empty(own["D"].shape)) if p.skip else None

    def reset_parameters(self, draw: Draw) -> None:
        fill_bias(self.dt_bias, self.p.dt.low, self.p.dt.high, draw("dt_bias"))
        low, high = self.p.a.low, self.p.a.high
        share = torch.rand(self.A_log.shape, dtype=self.A_log.dtype, generator=draw("A_log"))
        fill(self.A_log, torch.log(low + (high - low) * share))
        if self.D is not None:
            fill(self.D, 1.0)

    def zeros(self, x: Tensor) -> Tensor:
        """The state before x (B, L, ED)."""
        return in_precision(x).new_zeros(x.shape[0], self.A_log.shape[0], self.p.head, self.states)

    def chunk(
        self, streams: tuple[Tensor, ...], h: Tensor, rate: Gap | None, dt: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """x (B, L, ED), b and c (B, L, G N), delta (B, L, H) after the state h, by the chosen strategy."""
        if 0 in streams[0].shape[:2]:
            return streams[0].clone(), h.clone()
        loop = self.strategy == "recurrent" and known(streams[0].shape[1])
        return self.run(heads.recur if loop else heads.scan, streams, h, rate, dt)

    def run(
        self, run: heads.Run, streams: tuple[Tensor, ...], h: Tensor, rate: Gap | None, dt: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """`run` over streams (..., width), in full precision."""
        x, b, c, delta = streams
        with in_full(x):
            u = in_precision(x).unflatten(-1, (-1, self.p.head))
            b, c = (in_precision(s).unflatten(-1, (self.p.groups, -1)) for s in (b, c))
            limit = None if self.p.limit is None else (self.p.limit.low, self.p.limit.high)
            steps, weights = sampled(delta, self.dt_bias, rate, dt, decay=self.p.steps == "decay", limit=limit)
            v = weights.unsqueeze(-1) * u
            y, after = run(v, -torch.exp(in_precision(self.A_log)) * steps, b, c, in_precision(h))
            if self.D is not None:
                y = torch.addcmul(y, u, in_precision(self.D).unsqueeze(-1))
            return y.flatten(-2).to(x.dtype), after.to(h.dtype)

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        limit = None if self.p.limit is None else (self.p.limit.low, self.p.limit.high)
        a = -torch.exp(in_precision(self.A_log))
        return write_heads(program, streams, self.dt_bias, a, self.D, state[0], groups=self.p.groups, limit=limit)


class SSD(Heads):
    """(B, L, ED) -> (B, L, ED)."""

    def __init__(self, p: SsdParams, inputs: Streams, output: StreamType) -> None:
        own = parameters(p, inputs, output)
        super().__init__(p, inputs, own)
        self.W_B = nn.Parameter(torch.empty(own["W_B"].shape))
        self.W_C = nn.Parameter(torch.empty(own["W_C"].shape))
        self.W_dt = nn.Parameter(torch.empty(own["W_dt"].shape))

    def reset_parameters(self, draw: Draw) -> None:
        super().reset_parameters(draw)
        for name in ("W_B", "W_C", "W_dt"):
            fill_linear(getattr(self, name), None, draw, (name, ""))

    def forward(self, x: Tensor, *, rate: Gap | None = None, dt: Tensor | None = None) -> Tensor:
        return self.chunk(self._streams(x), self.zeros(x), rate, dt)[0]

    def extend(
        self, x: Tensor, h: Tensor, *, rate: Gap | None = None, dt: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        return self.chunk(self._streams(x), h, rate, dt)

    def step(self, x: Tensor, h: Tensor, *, rate: Gap | None = None, dt: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.run(heads.advance, self._streams(x), h, rate, dt)

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        x = streams[0]
        made = (program.linear(x, weight) for weight in (self.W_B, self.W_C, self.W_dt))
        return super().write_step(program, (x, *made), state)

    def _streams(self, x: Tensor) -> tuple[Tensor, ...]:
        """The streams x, b, c and delta."""
        return x, F.linear(x, self.W_B), F.linear(x, self.W_C), F.linear(x, self.W_dt)


class SSDScan(Heads):
    """x (B, L, ED), b and c (B, L, G N), delta (B, L, H) -> (B, L, ED)."""

    def __init__(self, p: ScanParams, inputs: Streams, output: StreamType) -> None:
        super().__init__(p, inputs, parameters_scan(p, inputs, output))

    def forward(
        self, x: Tensor, b: Tensor, c: Tensor, delta: Tensor, *, rate: Gap | None = None, dt: Tensor | None = None
    ) -> Tensor:
        return self.chunk((x, b, c, delta), self.zeros(x), rate, dt)[0]

    def extend(
        self,
        x: Tensor,
        b: Tensor,
        c: Tensor,
        delta: Tensor,
        h: Tensor,
        *,
        rate: Gap | None = None,
        dt: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        return self.chunk((x, b, c, delta), h, rate, dt)

    def step(
        self,
        x: Tensor,
        b: Tensor,
        c: Tensor,
        delta: Tensor,
        h: Tensor,
        *,
        rate: Gap | None = None,
        dt: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        return self.run(heads.advance, (x, b, c, delta), h, rate, dt)
