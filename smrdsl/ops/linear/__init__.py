"""linear: an affine map of the channels, the same at every position.

    y = x W^T + b

W is `weight` (width, input width), b is `bias` (width). Both start uniform within 1 / sqrt(input width), as
torch's Linear does. With `tie` the weight is that of another step, and is passed to the layer as its second
input.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import (
    Cost,
    LabelOf,
    Operator,
    Parameter,
    Params,
    Streams,
    need_real,
    positions,
)


class LinearParams(Params):
    width: int = Field(gt=0, description="Number of output channels.")
    bias: bool = Field(default=True, description="Whether a learned constant is added to each output channel.")
    tie: Annotated[str | None, LabelOf()] = Field(
        default=None,
        description="Label of the step whose `weight` (width, input width) is used in place of an own one: "
        "`linear(vocab, tie=tok)` shares the weight of `tok: embed(...)`.",
    )


def infer(p: LinearParams, inputs: Streams) -> StreamType:
    need_real("linear", inputs[0])
    return inputs[0].with_width(p.width)


def parameters(p: LinearParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    own: dict[str, Parameter] = {}
    if p.tie is None:
        own["weight"] = Parameter((p.width, inputs[0].width))
    if p.bias:
        own["bias"] = Parameter((p.width,), decay=False)
    return own


def cost(p: LinearParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    rows = positions(inputs[0], length)
    return Cost(2 * rows * inputs[0].width * p.width)


OPERATOR = Operator(
    name="linear",
    summary="Affine map of the channels at each position.",
    params=LinearParams,
    infer=infer,
    layer="smrdsl.ops.linear.layer:Linear",
    parameters=parameters,
    cost=cost,
    channel_map=lambda p: "" if p.tie else "dense",
    equations="y = x W^T + b",
    samples=(
        (LinearParams(width=5), (StreamType.real(8),)),
        (LinearParams(width=12, bias=False), (StreamType.pooled(8),)),
        (LinearParams(width=7, tie="tok"), (StreamType.real(4),)),
    ),
)
