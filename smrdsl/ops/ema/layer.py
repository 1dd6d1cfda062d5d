"""How `ema` computes: its parameters, as a `Fixed` that the kernels run."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels import core
from smrdsl.kernels.fixed import Fixed
from smrdsl.kernels.initial import Draw, fill, fill_normal
from smrdsl.kernels.memo import Kept, Memo
from smrdsl.kernels.parameters import reading_of
from smrdsl.kernels.powers import wide
from smrdsl.kernels.step_cores import write_bank
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.kernels.transition import Diagonal, RealDiagonal
from smrdsl.ops.contract import Streams
from smrdsl.ops.ema import OPERATOR, EmaParams, parameters


class Ema(nn.Module):
    """(B, L, D) -> (B, L, D). State: `h` (B, D, N); complex (B, D, 2 N), the real parts before the imaginary ones."""

    def __init__(self, p: EmaParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.p = p
        self.strategy = OPERATOR.strategies[0]
        shapes = {name: q.shape for name, q in parameters(p, inputs, output).items()}
        self.delta = nn.Parameter(torch.empty(shapes["delta"]))
        self.alpha = nn.Parameter(torch.empty(shapes["alpha"]))
        self.beta = None if p.complex else nn.Parameter(torch.empty(shapes["beta"]))
        self.theta = nn.Parameter(torch.empty(shapes["theta"])) if p.complex else None
        self.gamma = nn.Parameter(torch.empty(shapes["gamma"]))
        self.omega = nn.Parameter(torch.empty(shapes["omega"])) if p.skip else None
        self.memo: Memo[Fixed] = Memo()

    def reset_parameters(self, draw: Draw) -> None:
        fill_normal(self.delta, 0.2, draw("delta"))
        fill_normal(self.alpha, 0.2, draw("alpha"))
        fill_normal(self.gamma, 1.0, draw("gamma"))
        if self.beta is not None:
            fill_normal(self.beta, 0.02, draw("beta"))
            signs = 1.0 - 2.0 * (torch.arange(self.p.state) % 2)
            fill(self.beta, self.beta.detach().cpu() + signs)
        if self.theta is not None:
            ways = 2 if self.p.bidirectional else 1
            fill(self.theta, frequencies(len(self.theta) // ways, ways, draw("theta")))
            with torch.no_grad():
                self.gamma[..., 1] = 0.0
        if self.omega is not None and self.p.complex:
            values = torch.empty(self.omega.shape, dtype=self.omega.dtype)
            fill(self.omega, nn.init.trunc_normal_(values, 0.0, 0.25, -1.0, 1.0, draw("omega")))
        elif self.omega is not None:
            fill_normal(self.omega, 1.0, draw("omega"))

    def forward(self, x: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        return core.forward(self.bank(), self.strategy, x, None, None, lengths)

    def extend(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        return core.extend(self.bank(), self.strategy, x, h, None, None)

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        return core.step(self.bank(), x, h, None, None)

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream | None:
        return write_bank(program, self.bank(), streams[0], state[0])

    def bank(self) -> Fixed:
        return self.memo([*self.parameters()], self._make_fixed)

    def _make_fixed(self, kept: Kept | None) -> Fixed:
        rows = [z.chunk(2) if self.p.bidirectional else (z,) for z in self._coefficients()]
        kind = Diagonal if self.p.complex else RealDiagonal
        systems = [(kind.from_vectors(a), b, c / math.sqrt(self.p.state)) for a, b, c in zip(*rows, strict=True)]
        other = Fixed(*systems[1]) if self.p.bidirectional else None
        return Fixed(*systems[0], None if self.omega is None else wide(self.omega), other, kept)

    def _coefficients(self) -> tuple[Tensor, Tensor, Tensor]:
        """q, what the input is multiplied with, and gamma as a row: (D or 2 D, 1, numbers in a state)."""
        p = torch.sigmoid(wide(self.delta)).unsqueeze(1)
        size = 1 - p * torch.sigmoid(wide(self.alpha)).unsqueeze(1)
        if self.theta is None:
            assert self.beta is not None
            return size, p * wide(self.beta).unsqueeze(1), wide(self.gamma).unsqueeze(1)
        n = torch.arange(1, self.p.state + 1, device=p.device)
        turn = n * (2 * math.pi / self.p.state * torch.sigmoid(wide(self.theta)))[:, None, None]
        q = torch.cat([size * torch.cos(turn), size * torch.sin(turn)], -1)
        return q, torch.cat([p, torch.zeros_like(p)], -1), reading_of(self.gamma, copies=1)


def frequencies(width: int, ways: int, generator: torch.Generator) -> Tensor:
    """theta at first, (ways * width): sigmoid(theta) falls geometrically to 1 / width, in any order of channels."""
    falling = max(width, 2) ** (-torch.arange(1, width + 1, dtype=torch.float64) / width)
    orders = [torch.randperm(width, generator=generator) for _ in range(ways)]
    return torch.logit(torch.cat([falling[order] for order in orders]))
