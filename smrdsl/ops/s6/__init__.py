"""s6: the selective state-space core of Mamba, whose step, B and C are made from its own input.

    [d_t, B_t, C_t] = W_x x_t                     R, N and N rows, in this order
    Delta_t = softplus(W_dt d_t + b_dt)           one step per channel
    h_t = exp(Delta_t A) h_{t-1} + Delta_t B_t x_t,   A = -exp(A_log)
    y_t = C_t . h_t + D x_t

ED channels, each with N real states; B_t and C_t are shared by the channels. A is sampled by zero-order hold and B by
Euler's rule, as in the published code (the paper writes zero-order hold for both). The gate z and the short convolution
of Mamba's block are steps of their own around it. A gap or a rate g turns Delta_t into g Delta_t, with `steps=decay` in
exp(Delta_t A) alone.

What stands before the core, an `smr` placed there too, is seen by Delta, B and C, since they are made from its input.

Initial values: A = -1 .. -N in every channel; Delta at d = 0 log-uniform in `dt`, at least 1e-4; W_dt uniform within
1 / sqrt(R); W_x as torch's Linear; D = 1. Source: Gu and Dao 2023, "Mamba", algorithm 2; state-spaces/mamba.
"""

from __future__ import annotations

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops import _cores as cores
from smrdsl.ops.contract import Cost, Operator, Parameter, Params, Range, State, Streams, always, need_sequence, way
from smrdsl.ops.s6.timings import TIMINGS


class S6Params(Params):
    state: int = Field(default=16, gt=0, description="N, the number of real states of one channel.")
    dt_rank: int | None = Field(
        default=None,
        gt=0,
        description="R, how many numbers the steps of all channels are made from; `none`: width / 16, rounded up.",
    )
    dt: cores.StepRange = Range(low=0.001, high=0.1)
    skip: cores.Skip = True
    steps: cores.Steps = "both"


def rank(p: S6Params, width: int) -> int:
    """R"""
    return p.dt_rank or -(-width // 16)


def infer(p: S6Params, inputs: Streams) -> StreamType:
    need_sequence("s6", inputs[0])
    return inputs[0]


def parameters(p: S6Params, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    width, r = inputs[0].width, rank(p, inputs[0].width)
    own = {
        "W_x": Parameter((r + 2 * p.state, width)),
        "W_dt": Parameter((width, r)),
        "b_dt": Parameter((width,), decay=False),
        "A_log": Parameter((width, p.state), decay=False),
    }
    return own | {"D": Parameter((width,), decay=False)} if p.skip else own


def state(p: S6Params, inputs: Streams, output: StreamType) -> dict[str, State]:
    return {"h": State((inputs[0].width, p.state))}


def cost(p: S6Params, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    width, n, r = inputs[0].width, p.state, rank(p, inputs[0].width)
    projections = 2 * width * (2 * r + 2 * n)
    name, native = way(strategy)
    kept = (width * (4 + 3 * n)) if name == "recurrent" else 4 * width
    if native and name == "recurrent":
        kept = width * (1 + n / cores.TILE)
    work = length * (projections + 7 * width * n)
    return Cost(work, length * (kept + 2 * n + r), temporary=length * width * (2 if native else 4))


OPERATOR = Operator(
    name="s6",
    summary="Selective state-space core (S6, of Mamba): its step, B and C are made from its input.",
    params=S6Params,
    infer=infer,
    layer="smrdsl.ops.s6.layer:S6",
    parameters=parameters,
    state=state,
    cost=cost,
    families=("ssm", "mixer"),
    strategies=("scan", "recurrent"),
    inexact=cores.varying,
    timings=TIMINGS,
    uses_step=always,
    equations="[d_t, B_t, C_t] = W_x x_t;  Delta_t = softplus(W_dt d_t + b_dt)\n"
    "h_t = exp(Delta_t A) h_{t-1} + Delta_t B_t x_t;  y_t = C_t . h_t + D x_t;  A = -exp(A_log)",
    source='Gu and Dao 2023, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces" (2312.00752), '
    "algorithm 2; B by Euler's rule, as in its code",
    reference="smrdsl.ops.s6.reference:reference",
    samples=(
        (S6Params(state=4), (StreamType.real(8),)),
        (S6Params(state=3, dt_rank=2, skip=False, steps="decay"), (StreamType.real(6),)),
        (S6Params(state=1, dt=Range(low=0.5, high=0.5)), (StreamType.real(17),)),
    ),
)
