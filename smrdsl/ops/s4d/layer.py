"""How `s4d` computes: its parameters, as a `Core` that the kernels run."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.core import Core
from smrdsl.kernels.core_layer import CoreLayer
from smrdsl.kernels.discretise import diagonal_bilinear, diagonal_zoh
from smrdsl.kernels.initial import Draw, fill
from smrdsl.kernels.memo import Kept
from smrdsl.kernels.parameters import fill_outputs, fill_steps, lambda_of, pair_of, reading_of, steps_of
from smrdsl.kernels.powers import wide
from smrdsl.ops.contract import Streams
from smrdsl.ops.s4.hippo import nplr
from smrdsl.ops.s4d import OPERATOR, S4dParams, parameters


class S4D(CoreLayer):
    """(B, L, H) -> (B, L, H). State: `x` (B, H, N), the real parts before the imaginary ones."""

    def __init__(self, p: S4dParams, inputs: Streams, output: StreamType) -> None:
        super().__init__(OPERATOR.strategies[0])
        self.p = p
        shapes = {name: q.shape for name, q in parameters(p, inputs, output).items()}
        self.log_dt = nn.Parameter(torch.empty(shapes["log_dt"]))
        self.log_A_real = nn.Parameter(torch.empty(shapes["log_A_real"]))
        self.A_imag = nn.Parameter(torch.empty(shapes["A_imag"]))
        self.B = nn.Parameter(torch.empty(shapes["B"]))
        self.C = nn.Parameter(torch.empty(shapes["C"]))
        self.D = nn.Parameter(torch.empty(shapes["D"])) if p.skip else None

    def reset_parameters(self, draw: Draw) -> None:
        fill_steps(self.log_dt, self.p.dt.low, self.p.dt.high, draw("log_dt"))
        modes = torch.arange(self.p.state // 2)
        fill(self.log_A_real, torch.log(modes + 1.0) if self.p.init == "real" else math.log(0.5))
        fill(self.A_imag, frequencies(self.p.init, self.p.state, self.A_imag.shape, draw))
        fill(self.B, torch.tensor([1.0, 0.0]))
        if self.p.init == "legs":
            fill(self.B, torch.view_as_real(torch.from_numpy(nplr("legs", self.p.state).clipped_b)))
        fill_outputs(self.C, self.D, draw)

    def _make_core(self, kept: Kept | None) -> Core:
        channels, c = self.log_dt.shape[0], reading_of(self.C)
        lam = lambda_of(self.log_A_real, self.A_imag, channels)
        return Core(
            rule=diagonal_zoh if self.p.disc == "zoh" else diagonal_bilinear,
            parts=(lam, pair_of(self.B, channels)),
            step=steps_of(self.log_dt),
            c=c[0] if self.p.bidirectional else c,
            back=c[1] if self.p.bidirectional else None,
            d=None if self.D is None else wide(self.D),
            decay=self.p.steps == "decay",
            kept=kept,
        )


def frequencies(init: str, state: int, shape: torch.Size, draw: Draw) -> Tensor:
    """-Im Lambda at first, to be spread over the (S, N/2) of `shape`."""
    n = torch.arange(state // 2, dtype=torch.float64)
    if init == "rand":
        return torch.exp(torch.randn(shape, generator=draw("A_imag")))
    if init == "legs":
        return -torch.from_numpy(nplr("legs", state).lam.imag)
    rows = {
        "lin": math.pi * n,
        "inv": state / math.pi * (state / (2 * n + 1) - 1),
        "quad": (1 + 2 * n) ** 2 / math.pi,
        "real": torch.zeros_like(n),
    }
    return rows[init]
