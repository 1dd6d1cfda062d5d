"""s4d: the diagonal state-space core, one system with N/2 complex states per channel.

    x'(t) = Lambda x(t) + B u(t)        y(t) = 2 Re(C x(t)) + D u(t)        Lambda = -exp(log_A_real) - i A_imag

sampled with a step Delta = exp(log_dt) per channel, by zero-order hold or the bilinear rule. Re Lambda < 0 by
construction, so that every sampled system is stable. Complex numbers are stored as pairs of reals on the last axis.

The sign of the imaginary part is that of SSMKernelDiag and of S4 in state-spaces/s4; the minimal s4d.py there has
+i A_imag, so that its A_imag comes over with the other sign. A mode with Im Lambda = 0 (the first of `lin`, all of
`real`) is stored and doubled as the others are.

    init   Re Lambda  Im Lambda, n = 0 .. N/2 - 1                    B
    lin    -1/2       -pi n                                          1
    inv    -1/2       -(N / pi) (N / (2 n + 1) - 1)                  1
    quad   -1/2       -(1 + 2 n)^2 / pi                              1
    real   -(n + 1)   0                                              1
    rand   -1/2       -exp(normal)                                   1
    legs   -1/2       those of HiPPO-LegS, diagonal part             HiPPO's, Im within +-2

C is complex normal, D normal. Source: Gu et al. 2022, "On the Parameterization and Initialization of Diagonal State
Space Models"; state-spaces/s4, whose floor of 1e-4 under A_imag is left out.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops import _cores as cores
from smrdsl.ops.contract import Cost, Operator, Parameter, Params, Range, Streams, always
from smrdsl.ops.s4d.timings import TIMINGS


class S4dParams(Params):
    state: cores.StateSize = 64
    init: Literal["lin", "inv", "legs", "quad", "real", "rand"] = Field(
        default="lin",
        description="Where Lambda starts: `lin`, `inv` and `quad` are rows of frequencies, `legs` has those of HiPPO, "
        "`real` none, `rand` draws them.",
    )
    disc: Literal["zoh", "bilinear"] = Field(
        default="zoh", description="How it is sampled: `zoh` holds the input between samples, `bilinear` is S4's rule."
    )
    dt: cores.StepRange = Range(low=0.001, high=0.1)
    copies: cores.Copies = 1
    skip: cores.Skip = True
    steps: cores.Steps = "both"
    bidirectional: cores.Bidirectional = False


def infer(p: S4dParams, inputs: Streams) -> StreamType:
    return cores.infer("s4d", p, inputs)


def parameters(p: S4dParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    return cores.parameters(p, inputs[0].width)


def cost(p: S4dParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    return cores.cost(p, inputs[0].width, length, strategy, one_step=4 * p.state)


OPERATOR = Operator(
    name="s4d",
    summary="Diagonal state-space core (S4D).",
    params=S4dParams,
    infer=infer,
    layer="smrdsl.ops.s4d.layer:S4D",
    parameters=parameters,
    state=cores.state,
    cost=cost,
    looks_ahead=cores.looks_ahead,
    steady_bank=lambda p: not cores.looks_ahead(p),
    families=("ssm", "mixer"),
    strategies=cores.STRATEGIES,
    timings=TIMINGS,
    uses_step=always,
    uses_lengths=cores.looks_ahead,
    equations="x_t = A x_{t-1} + B' u_t;  y_t = 2 Re(C x_t) + D u_t\n"
    "zoh: A = e^(Delta Lambda), B' = (e^(Delta Lambda) - 1) / Lambda B\n"
    "bilinear: A = (1 + Delta Lambda / 2) / (1 - Delta Lambda / 2), B' = Delta B / (1 - Delta Lambda / 2)\n"
    "Delta = exp(log_dt), Lambda = -exp(log_A_real) - i A_imag\n"
    "bidirectional: y_t gains sum_{j >= 0} k'_j u_{t+1+j}, k' the kernel of the second C",
    source='Gu et al. 2022, "On the Parameterization and Initialization of Diagonal State Space Models" (2206.11893)',
    reference="smrdsl.ops.s4d.reference:reference",
    samples=(
        (S4dParams(state=8), (StreamType.real(6),)),
        (S4dParams(state=4, init="inv", disc="bilinear", copies=3, skip=False), (StreamType.real(6),)),
        (S4dParams(state=6, init="legs", copies=4, steps="decay"), (StreamType.real(4),)),
        (S4dParams(state=4, init="quad", bidirectional=True), (StreamType.real(4),)),
        (S4dParams(state=2, init="real", dt=Range(low=0.01, high=0.01)), (StreamType.real(3),)),
        (S4dParams(state=4, init="rand", copies=2, bidirectional=True, disc="bilinear"), (StreamType.real(2),)),
    ),
)
