"""How `lru` computes: its parameters, as a `Mimo` that the kernels run."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels import mimo
from smrdsl.kernels.core import Gap
from smrdsl.kernels.initial import Draw, fill, fill_normal
from smrdsl.kernels.memo import Kept, Memo
from smrdsl.kernels.mimo import Mimo, driving_of, reading_of
from smrdsl.kernels.powers import wide
from smrdsl.kernels.step_cores import write_mimo
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.kernels.transition import Diagonal
from smrdsl.ops.contract import Streams
from smrdsl.ops.lru import OPERATOR, LruParams, parameters

EDGE = 2.0**-24
"""Numbers drawn between 0 and 1 keep this far from both, where a logarithm of them would not be finite."""


class LRU(nn.Module):
    """(B, L, H) -> (B, L, H). State: `x` (B, 2N), the real parts before the imaginary ones."""

    def __init__(self, p: LruParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.p = p
        self.strategy = OPERATOR.strategies[0]
        shapes = {name: q.shape for name, q in parameters(p, inputs, output).items()}
        self.nu_log = nn.Parameter(torch.empty(shapes["nu_log"]))
        self.theta_log = nn.Parameter(torch.empty(shapes["theta_log"]))
        self.gamma_log = nn.Parameter(torch.empty(shapes["gamma_log"]))
        self.B = nn.Parameter(torch.empty(shapes["B"]))
        self.C = nn.Parameter(torch.empty(shapes["C"]))
        self.D = nn.Parameter(torch.empty(shapes["D"])) if p.skip else None
        self.memo: Memo[Mimo] = Memo()

    def reset_parameters(self, draw: Draw) -> None:
        low, high = self.p.radius.low, self.p.radius.high
        states, width, _ = self.B.shape
        # Uniform in area between the radii, so in the square of the radius.
        square = low**2 + (high**2 - low**2) * shares(states, draw("nu_log"))
        fill(self.nu_log, torch.log(-0.5 * torch.log(square)))
        fill(self.theta_log, torch.log(self.p.phase * shares(states, draw("theta_log"))))
        fill(self.gamma_log, 0.5 * torch.log1p(-square))
        fill_normal(self.B, math.sqrt(0.5 / width), draw("B"))
        fill_normal(self.C, math.sqrt(1.0 / states), draw("C"))
        if self.D is not None:
            fill_normal(self.D, 1.0, draw("D"))

    def forward(self, u: Tensor) -> Tensor:
        return mimo.forward(self._system(), self.strategy, u)

    def extend(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return mimo.extend(self._system(), self.strategy, u, x)

    def step(self, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return mimo.step(self._system(), u, x)

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        return write_mimo(program, self._system(), streams[0], state[0])

    def _system(self) -> Mimo:
        return self.memo([*self.parameters()], self._make_system)

    def _make_system(self, kept: Kept | None) -> Mimo:
        size, angle = torch.exp(-torch.exp(wide(self.nu_log))), torch.exp(wide(self.theta_log))
        a = Diagonal.of((size * torch.cos(angle), size * torch.sin(angle)))
        gamma = torch.exp(wide(self.gamma_log))
        scale = torch.cat([gamma, torch.zeros_like(gamma)])

        def sample(gap: Gap, dtype: torch.dtype | None) -> tuple[Diagonal, Tensor]:
            return a, scale

        return Mimo(sample, driving_of(self.B), reading_of(self.C, ways=1, copies=1), self.D, kept)


def shares(count: int, generator: torch.Generator) -> Tensor:
    """Uniform between 0 and 1, both left out; in float64."""
    return torch.rand(count, dtype=torch.float64, generator=generator).clamp(EDGE, 1 - EDGE)
