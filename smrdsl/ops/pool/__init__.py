"""pool: one vector for a sequence.

    mean  sum_t x_t / L      sum  sum_t x_t      max  max_t x_t      last  x_L

An empty sequence leaves zeros. In a padded batch L is the length of each sequence by itself. A step leaves the pooled
value so far, so that after the last one it is that of the whole sequence. State: what the value so far needs, `value`
(and `count`, how many were seen, for mean and max).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Cost, Operator, Params, State, Streams, always, elements, need_sequence


class PoolParams(Params):
    kind: Literal["mean", "last", "max", "sum"] = Field(
        default="mean",
        description="What is taken over time: the mean, the last value, the largest, or the sum.",
    )


def infer(p: PoolParams, inputs: Streams) -> StreamType:
    need_sequence("pool", inputs[0])
    return StreamType.pooled(inputs[0].width)


def state(p: PoolParams, inputs: Streams, output: StreamType) -> dict[str, State]:
    value = {"value": State((inputs[0].width,))}
    return value | {"count": State((), index=True)} if p.kind in ("mean", "max") else value


def cost(p: PoolParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    """Only the largest has to be found again."""
    return Cost(elements(inputs, length), inputs=p.kind == "max", output=p.kind == "max")


OPERATOR = Operator(
    name="pool",
    summary="One vector for a sequence.",
    params=PoolParams,
    infer=infer,
    layer="smrdsl.ops.pool.layer:Pool",
    state=state,
    cost=cost,
    uses_lengths=always,
    equations="mean: y = sum_t x_t / L;  last: y = x_L;  max: y = max_t x_t;  sum: y = sum_t x_t",
    reference="smrdsl.ops.pool.reference:reference",
    samples=(
        (PoolParams(), (StreamType.real(6),)),
        (PoolParams(kind="last"), (StreamType.real(6),)),
        (PoolParams(kind="max"), (StreamType.real(6),)),
        (PoolParams(kind="sum"), (StreamType.real(6),)),
    ),
)
