"""How `s4` computes: its parameters, as a `Core` that the kernels run."""

from __future__ import annotations

import torch
from torch import nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.core import Core
from smrdsl.kernels.core_layer import CoreLayer
from smrdsl.kernels.discretise import low_rank_bilinear, low_rank_zoh
from smrdsl.kernels.initial import Draw, fill
from smrdsl.kernels.memo import Kept
from smrdsl.kernels.parameters import fill_outputs, fill_steps, lambda_of, pair_of, reading_of, steps_of
from smrdsl.kernels.powers import wide
from smrdsl.ops.contract import Streams
from smrdsl.ops.s4 import OPERATOR, S4Params, parameters
from smrdsl.ops.s4.hippo import nplr

LEAST_DECAY = 1e-4
"""-Re Lambda starts no lower, as published: it is stored as its logarithm."""


class S4(CoreLayer):
    """(B, L, H) -> (B, L, H). State: `x` (B, H, N), the real parts before the imaginary ones."""

    def __init__(self, p: S4Params, inputs: Streams, output: StreamType) -> None:
        super().__init__(OPERATOR.strategies[0])
        self.p = p
        shapes = {name: q.shape for name, q in parameters(p, inputs, output).items()}
        self.log_dt = nn.Parameter(torch.empty(shapes["log_dt"]))
        self.log_A_real = nn.Parameter(torch.empty(shapes["log_A_real"]))
        self.A_imag = nn.Parameter(torch.empty(shapes["A_imag"]))
        self.B = nn.Parameter(torch.empty(shapes["B"]))
        self.P = nn.Parameter(torch.empty(shapes["P"]))
        self.C = nn.Parameter(torch.empty(shapes["C"]))
        self.D = nn.Parameter(torch.empty(shapes["D"])) if p.skip else None

    def reset_parameters(self, draw: Draw) -> None:
        fill_steps(self.log_dt, self.p.dt.low, self.p.dt.high, draw("log_dt"))
        form = nplr(self.p.init, self.p.state, self.p.rank)
        fill(self.log_A_real, torch.from_numpy(-form.lam.real).clamp(min=LEAST_DECAY).log())
        fill(self.A_imag, torch.from_numpy(-form.lam.imag))
        fill(self.B, torch.view_as_real(torch.from_numpy(form.clipped_b)))
        fill(self.P, torch.view_as_real(torch.from_numpy(form.p)).unsqueeze(1))
        fill_outputs(self.C, self.D, draw)

    def _make_core(self, kept: Kept | None) -> Core:
        channels, c = self.log_dt.shape[0], reading_of(self.C)
        lam = lambda_of(self.log_A_real, self.A_imag, channels)
        return Core(
            rule=low_rank_zoh if self.p.disc == "zoh" else low_rank_bilinear,
            parts=(lam, pair_of(self.P, channels), pair_of(self.B, channels)),
            step=steps_of(self.log_dt),
            c=c[0] if self.p.bidirectional else c,
            back=c[1] if self.p.bidirectional else None,
            d=None if self.D is None else wide(self.D),
            decay=self.p.steps == "decay",
            kept=kept,
        )
