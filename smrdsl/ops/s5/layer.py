"""How `s5` computes: its parameters, as a `Mimo` that the kernels run."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels import mimo
from smrdsl.kernels.core import Gap
from smrdsl.kernels.discretise import diagonal_bilinear, diagonal_zoh
from smrdsl.kernels.initial import Draw, fill, fill_normal
from smrdsl.kernels.memo import Kept, Memo
from smrdsl.kernels.mimo import Mimo, Sample, driving_of, reading_of
from smrdsl.kernels.parameters import fill_steps
from smrdsl.kernels.powers import wide
from smrdsl.kernels.step_cores import write_mimo
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.kernels.transition import Diagonal
from smrdsl.ops.contract import Streams
from smrdsl.ops.s4.hippo import spectrum
from smrdsl.ops.s5 import OPERATOR, S5Params, parameters

LEAST_DECAY = 1e-4
"""-Re Lambda is no lower with clip=true, as published."""
CUT_STD = 0.87962566103423978
"""Standard deviation of a standard normal number that is cut off at 2."""


class S5(nn.Module):
    """(B, L, H) -> (B, L, H). State: `x` (B, 2P), the real parts before the imaginary ones."""

    def __init__(self, p: S5Params, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.p = p
        self.strategy = OPERATOR.strategies[0]
        shapes = {name: q.shape for name, q in parameters(p, inputs, output).items()}
        self.Lambda_re = nn.Parameter(torch.empty(shapes["Lambda_re"]))
        self.Lambda_im = nn.Parameter(torch.empty(shapes["Lambda_im"]))
        self.log_step = nn.Parameter(torch.empty(shapes["log_step"]))
        self.B = nn.Parameter(torch.empty(shapes["B"]))
        self.C = nn.Parameter(torch.empty(shapes["C"]))
        self.D = nn.Parameter(torch.empty(shapes["D"])) if p.skip else None
        self.memo: Memo[Mimo] = Memo()

    def reset_parameters(self, draw: Draw) -> None:
        p, width = self.p, self.B.shape[1]
        size, half = p.state // p.blocks, p.stored // p.blocks
        lam, v = (torch.from_numpy(values) for values in spectrum("legs", size))
        lam, v = lam[:half].repeat(p.blocks), v[:, :half]
        fill(self.Lambda_re, lam.real)
        fill(self.Lambda_im, lam.imag)
        fill_steps(self.log_step, p.dt.low, p.dt.high, draw("log_step"))
        b = cut_normal((p.blocks, size, width), p.state, draw("B"))
        fill(self.B, torch.view_as_real((v.mH @ b.to(v.dtype)).flatten(0, 1)))
        if p.c_init == "complex_normal":
            fill_normal(self.C, math.sqrt(0.5), draw("C"))
        else:
            fan = p.state if p.c_init == "trunc_normal" else p.state * width
            ways = self.C.shape[1] // p.stored
            c = torch.view_as_complex(cut_normal((width, ways, p.blocks, size, 2), fan, draw("C")))
            fill(self.C, torch.view_as_real((c @ v).flatten(1)))
        if self.D is not None:
            fill_normal(self.D, 1.0, draw("D"))

    def forward(
        self, u: Tensor, *, rate: Gap | None = None, dt: Tensor | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        return mimo.forward(self._system(), self.strategy, u, rate, dt, lengths)

    def extend(
        self, u: Tensor, x: Tensor, *, rate: Gap | None = None, dt: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        return mimo.extend(self._system(), self.strategy, u, x, rate, dt)

    def step(self, u: Tensor, x: Tensor, *, rate: Gap | None = None, dt: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return mimo.step(self._system(), u, x, rate, dt)

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream:
        return write_mimo(program, self._system(), streams[0], state[0])

    def _system(self) -> Mimo:
        return self.memo([*self.parameters()], self._make_system)

    def _make_system(self, kept: Kept | None) -> Mimo:
        ways, copies = 2 if self.p.bidirectional else 1, 2 if self.p.conj else 1
        return Mimo(self._sampler(), driving_of(self.B), reading_of(self.C, ways, copies), self.D, kept)

    def _sampler(self) -> Sample:
        """Lambda-bar, and what it scales B by, at any gap."""
        rule = diagonal_zoh if self.p.disc == "zoh" else diagonal_bilinear
        re, im, step = wide(self.Lambda_re), wide(self.Lambda_im), torch.exp(wide(self.log_step))
        if self.p.clip:
            re = re.clamp(max=-LEAST_DECAY)
        exact = (re, im, torch.ones_like(re), torch.zeros_like(re), step)

        def sample(gap: Gap, dtype: torch.dtype | None) -> tuple[Diagonal, Tensor]:
            re, im, one, zero, step = exact if dtype is None else (part.to(dtype) for part in exact)
            a, scale = rule((re, im), (one, zero), step * gap)
            return a, rule((re, im), (one, zero), step)[1] if self.p.steps == "decay" else scale

        return sample


def cut_normal(shape: tuple[int, ...], fan: int, generator: torch.Generator) -> Tensor:
    """Normal numbers cut off at two standard deviations, of variance 1 / fan afterwards; in float64."""
    std = 1.0 / (math.sqrt(fan) * CUT_STD)
    values = torch.empty(shape, dtype=torch.float64)
    return nn.init.trunc_normal_(values, 0.0, std, -2 * std, 2 * std, generator=generator)
