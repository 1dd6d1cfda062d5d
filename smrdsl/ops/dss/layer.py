"""How `dss` computes: its parameters, as a `Core` or a `Normalised` that the kernels run."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels import normalised
from smrdsl.kernels.core import Core, Gap
from smrdsl.kernels.core_layer import CoreLayer
from smrdsl.kernels.discretise import diagonal_zoh
from smrdsl.kernels.initial import Draw, fill, fill_normal
from smrdsl.kernels.memo import Kept, Memo
from smrdsl.kernels.normalised import Normalised
from smrdsl.kernels.parameters import fill_steps, reading_of, steps_of
from smrdsl.kernels.powers import wide
from smrdsl.kernels.transition import Pair
from smrdsl.ops.contract import Streams
from smrdsl.ops.dss import OPERATOR, DssParams, parameters
from smrdsl.ops.s4.hippo import nplr

LEAST_DECAY = 1e-4
"""Of form=clip: -Re Lambda is no lower."""


class Dss(CoreLayer):
    """(B, L, H) -> (B, L, H). State: `x` (B, H, 2 N), the real parts before the imaginary ones."""

    def __init__(self, p: DssParams, inputs: Streams, output: StreamType) -> None:
        super().__init__(OPERATOR.strategies[0])
        self.p = p
        shapes = {name: q.shape for name, q in parameters(p, inputs, output).items()}
        self.log_dt = nn.Parameter(torch.empty(shapes["log_dt"]))
        if p.form == "exp":
            self.Lambda_log_neg_re = nn.Parameter(torch.empty(shapes["Lambda_log_neg_re"]))
            self.Lambda_im = nn.Parameter(torch.empty(shapes["Lambda_im"]))
        else:
            self.Lambda = nn.Parameter(torch.empty(shapes["Lambda"]))
        self.W = nn.Parameter(torch.empty(shapes["W"]))
        self.D = nn.Parameter(torch.empty(shapes["D"])) if p.skip else None
        self.normalised: Memo[Normalised] = Memo()

    def reset_parameters(self, draw: Draw) -> None:
        fill_steps(self.log_dt, self.p.dt.low, self.p.dt.high, draw("log_dt"))
        im = -torch.from_numpy(nplr("legs", 2 * self.p.state).lam.imag)
        if self.p.form == "exp":
            fill(self.Lambda_log_neg_re, math.log(0.5))
            fill(self.Lambda_im, im)
        else:
            fill(self.Lambda, torch.stack([torch.full_like(im, -0.5), im], -1))
        fill_normal(self.W, 1.0, draw("W"))
        if self.D is not None:
            fill_normal(self.D, 1.0, draw("D"))

    def forward(
        self, u: Tensor, *, rate: Gap | None = None, dt: Tensor | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        if self.p.form == "softmax":
            assert rate is None, "form=softmax has no step to scale"
            assert dt is None, "form=softmax has no step to scale"
            return normalised.forward(self.normalised([*self.parameters()], self._make_normalised), u, lengths)
        return super().forward(u, rate=rate, dt=dt, lengths=lengths)

    def _make_core(self, kept: Kept | None) -> Core:
        lam, c = self._lambda(), reading_of(self.W, copies=1)
        return Core(
            rule=diagonal_zoh,
            parts=(lam, (torch.ones_like(lam[0]), torch.zeros_like(lam[0]))),
            step=steps_of(self.log_dt),
            c=c[0] if self.p.bidirectional else c,
            back=c[1] if self.p.bidirectional else None,
            d=None if self.D is None else wide(self.D),
            decay=self.p.steps == "decay",
            kept=kept,
        )

    def _make_normalised(self, kept: Kept | None) -> Normalised:
        re, im = wide(self.W).unsqueeze(-3).unbind(-1)
        w = re.view(-1, *re.shape[-3:]), im.view(-1, *im.shape[-3:])
        return Normalised(self._lambda(), steps_of(self.log_dt), w, None if self.D is None else wide(self.D), kept)

    def _lambda(self) -> Pair:
        """(1, 1, N), the same for all channels."""
        if self.p.form == "exp":
            re, im = -torch.exp(wide(self.Lambda_log_neg_re)), wide(self.Lambda_im)
        else:
            re, im = wide(self.Lambda).unbind(-1)
        if self.p.form == "clip":
            re = re.clamp(max=-LEAST_DECAY)
        return re[None, None], im[None, None]
