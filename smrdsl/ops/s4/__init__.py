"""s4: the structured state-space core, diagonal plus low rank, one system with N/2 complex states per channel.

    x'(t) = A x(t) + B u(t)        y(t) = 2 Re(C x(t)) + D u(t)
    A = Lambda - P P^H over the full state, the conjugates included        Lambda = -exp(log_A_real) - i A_imag

sampled with a step Delta = exp(log_dt) per channel. Re Lambda < 0 makes A dissipative, so that every sampled system is
stable. Complex numbers are stored as pairs of reals on the last axis. C is the plain one: official checkpoints hold
C (1 - A-bar^L), which ties them to a length and makes other rates approximate.

    init   the measure against which the state remembers; Lambda, P, B are HiPPO's, Im B within +-2
    legs   all of the past, Legendre        rank 1
    legt   a window, Legendre               rank 2
    fout   a window, Fourier                rank 1
    lagt   a fading past, Laguerre          rank 1

Re Lambda is 0 for the last three and starts at -1e-4, as published. Rows of P beyond the rank of the measure start at
0. C is complex normal, D normal. Every strategy works on A-bar as a real N x N matrix or, where it is low, by its rank:
see docs/decisions/0005-powers-instead-of-cauchy.md.

Source: Gu et al. 2022, "Efficiently Modeling Long Sequences with Structured State Spaces"; 2023, "How to Train Your
HiPPO"; initial values as in state-spaces/s4.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field, model_validator

from smrdsl.core.types import StreamType
from smrdsl.ops import _cores as cores
from smrdsl.ops.contract import Cost, Operator, Parameter, Params, Range, Streams, always, way
from smrdsl.ops.s4.timings import TIMINGS

RANKS = {"legs": 1, "legt": 2, "fout": 1, "lagt": 1}
"""Measure -> least rank with which A + P P^H is normal."""


class S4Params(Params):
    state: cores.StateSize = 64
    init: Literal["legs", "fout", "legt", "lagt"] = Field(
        default="legs",
        description="What the state starts to remember: `legs` all of the past, `fout` and `legt` a window of it in "
        "waves or polynomials, `lagt` a fading past.",
    )
    disc: Literal["bilinear", "zoh"] = Field(
        default="bilinear",
        description="How it is sampled: `bilinear` as published, or `zoh`, which holds the input between samples.",
    )
    dt: cores.StepRange = Range(low=0.001, high=0.1)
    copies: cores.Copies = 1
    rank: int = Field(
        default=1, gt=0, description="Rank of the correction P P^H; 2 unless given where init=legt needs 2."
    )
    skip: cores.Skip = True
    steps: cores.Steps = "both"
    bidirectional: cores.Bidirectional = False

    @model_validator(mode="before")
    @classmethod
    def least_rank(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {"rank": RANKS.get(given.get("init", "legs"), 1), **given}

    @model_validator(mode="after")
    def enough_rank(self) -> S4Params:
        if self.rank < RANKS[self.init]:
            raise ValueError(f"init={self.init} needs rank={RANKS[self.init]} or more, not {self.rank}")
        return self


def infer(p: S4Params, inputs: Streams) -> StreamType:
    return cores.infer("s4", p, inputs)


def parameters(p: S4Params, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    own = cores.parameters(p, inputs[0].width)
    own["P"] = Parameter((p.rank, p.copies, p.state // 2, 2), decay=False, group="ssm")
    return own


def cost(p: S4Params, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    width, n, (name, _) = inputs[0].width, p.state, way(strategy)
    one_step = 2 * n * n if p.disc == "zoh" else 4 * n * (1 + p.rank)
    core = cores.cost(p, width, length, strategy, one_step if name == "recurrent" else 2 * n * n)
    if name == "recurrent":
        return core
    span = min(length, cores.CHUNK) if name == "scan" else length
    squares = math.ceil(math.log2(max(2, span)))
    spread = 2 * math.isqrt(span) * 2 * n * n
    powers = cores.chunk_of(length) / cores.CHUNK * (360 * n + 9 * n * n)
    if name == "conv":
        powers = 5 * n * n * max(0.5, squares - 5)
    return replace(core, flops=core.flops + width * (squares * 2 * n**3 + spread), once=core.once + width * powers)


OPERATOR = Operator(
    name="s4",
    summary="Structured state-space core (S4), diagonal plus low rank.",
    params=S4Params,
    infer=infer,
    layer="smrdsl.ops.s4.layer:S4",
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
    equations="x_t = A' x_{t-1} + B' u_t;  y_t = 2 Re(C x_t) + D u_t\n"
    "bilinear: A' = (1 - Delta A / 2)^-1 (1 + Delta A / 2), B' = Delta (1 - Delta A / 2)^-1 B\n"
    "zoh: A' = e^(Delta A), B' = A^-1 (e^(Delta A) - 1) B\n"
    "Delta = exp(log_dt), A = Lambda - P P^H, Lambda = -exp(log_A_real) - i A_imag\n"
    "bidirectional: y_t gains sum_{j >= 0} k'_j u_{t+1+j}, k' the kernel of the second C",
    source='Gu et al. 2022, "Efficiently Modeling Long Sequences with Structured State Spaces" (2111.00396)',
    reference="smrdsl.ops.s4.reference:reference",
    samples=(
        (S4Params(state=8), (StreamType.real(6),)),
        (S4Params(state=4, init="fout", disc="zoh", copies=3, skip=False), (StreamType.real(6),)),
        (S4Params(state=6, init="legt", copies=4, steps="decay"), (StreamType.real(4),)),
        (S4Params(state=4, init="lagt", rank=3, bidirectional=True), (StreamType.real(4),)),
        (S4Params(state=2, disc="zoh", steps="decay"), (StreamType.real(3),)),
        (S4Params(state=4, copies=2, bidirectional=True, disc="zoh"), (StreamType.real(2),)),
    ),
)
