"""lru: the linear recurrent unit, one diagonal recurrence for all channels that was never continuous.

    x_t = Lambda x_{t-1} + gamma (B u_t)        y_t = Re(C x_t) + D u_t
    Lambda = exp(-exp(nu_log) + i exp(theta_log)), gamma = exp(gamma_log)

|Lambda| < 1 by construction. All N complex states are stored, none as the conjugate of another. There is no step, so
that it cannot stand in a timed stream. Complex numbers are stored as pairs of reals on the last axis.

Lambda starts uniformly on the ring with radii `radius`, with angles from 0 to `phase`; gamma as sqrt(1 - |Lambda|^2),
which keeps the size of the state; both parts of B normal of variance 1 / (2 H), of C 1 / N; D normal. Lambda, gamma and
B are in group "ssm" and do not decay, as is usual.

Source: Orvieto et al. 2023, "Resurrecting Recurrent Neural Networks for Long Sequences", appendix A.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from smrdsl.core.types import StreamType
from smrdsl.ops import _cores as cores
from smrdsl.ops.contract import Cost, Operator, Parameter, Params, Range, State, Streams, need_sequence
from smrdsl.ops.lru.timings import TIMINGS


def within_one(radius: Range) -> Range:
    if radius.low < 0 or radius.high > 1 or radius.high == 0 or radius.low == 1:
        raise ValueError(f"Lambda lies within the unit circle but not at 0, and the radii are {radius}")
    return radius


class LruParams(Params):
    state: int = Field(default=64, gt=0, description="N, how many complex numbers the state has.")
    radius: Annotated[
        Range,
        AfterValidator(within_one),
        Field(description="Where |Lambda| starts: on a ring within these radii. Closer to 1 means a longer memory."),
    ] = Range(low=0.9, high=0.999)
    phase: float = Field(
        default=6.283, gt=0, description="The angles of Lambda start from 0 to here, in radians; smaller is slower."
    )
    skip: cores.Skip = True


def infer(p: LruParams, inputs: Streams) -> StreamType:
    need_sequence("lru", inputs[0])
    return inputs[0]


def parameters(p: LruParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    width = inputs[0].width
    own = {
        "nu_log": Parameter((p.state,), decay=False, group="ssm"),
        "theta_log": Parameter((p.state,), decay=False, group="ssm"),
        "gamma_log": Parameter((p.state,), decay=False, group="ssm"),
        "B": Parameter((p.state, width, 2), decay=False, group="ssm"),
        "C": Parameter((width, p.state, 2)),
    }
    return own | {"D": Parameter((width,), decay=False)} if p.skip else own


def state(p: LruParams, inputs: Streams, output: StreamType) -> dict[str, State]:
    """One for all channels, the real parts before the imaginary ones."""
    return {"x": State((2 * p.state,))}


def cost(p: LruParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    return cores.mimo_cost(inputs[0].width, p.state, length, strategy)


OPERATOR = Operator(
    name="lru",
    summary="Linear recurrent unit (LRU): a diagonal recurrence without a step.",
    params=LruParams,
    infer=infer,
    layer="smrdsl.ops.lru.layer:LRU",
    parameters=parameters,
    state=state,
    cost=cost,
    families=("ssm", "mixer"),
    strategies=cores.MIMO_STRATEGIES,
    timings=TIMINGS,
    equations="x_t = Lambda x_{t-1} + gamma (B u_t);  y_t = Re(C x_t) + D u_t\n"
    "Lambda = exp(-exp(nu_log) + i exp(theta_log)), gamma = exp(gamma_log)",
    source='Orvieto et al. 2023, "Resurrecting Recurrent Neural Networks for Long Sequences" (2303.06349)',
    reference="smrdsl.ops.lru.reference:reference",
    samples=(
        (LruParams(state=6), (StreamType.real(5),)),
        (LruParams(state=3, radius=Range(low=0.0, high=1.0), phase=0.314, skip=False), (StreamType.real(4),)),
        (LruParams(state=1, radius=Range(low=0.5, high=0.5)), (StreamType.real(1),)),
    ),
)
