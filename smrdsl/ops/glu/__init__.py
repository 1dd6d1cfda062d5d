"""glu: a gated linear unit, a linear map to twice the width whose second half gates the first.

    (a, g) = W x + b,    y = a * act(g)

W is `weight` (2 * width, width), rows of a first, as in the output map of S4's block. Source: Dauphin et
al. 2017, "Language Modeling with Gated Convolutional Networks". Weight and bias start as torch's Linear
does.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Cost, Family, Operator, Parameter, Params, Streams, need_sequence
from smrdsl.ops.pointwise import act_parameters, find_activation


class GluParams(Params):
    act: Annotated[str, Family("act")] = Field(
        default="sigmoid", description="Activation of the gating half (silu: SwiGLU, gelu: GEGLU)."
    )
    bias: bool = Field(default=True, description="Whether the map adds learned constants.")


def infer(p: GluParams, inputs: Streams) -> StreamType:
    need_sequence("glu", inputs[0])
    find_activation(p.act, inputs[0])
    return inputs[0]


def parameters(p: GluParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    width = inputs[0].width
    own = {"weight": Parameter((2 * width, width))}
    if p.bias:
        own["bias"] = Parameter((2 * width,), decay=False)
    return own | act_parameters(p.act, inputs[0])


def cost(p: GluParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    elements = length * inputs[0].width
    return Cost(elements * (4 * inputs[0].width + 2), 3 * elements)


OPERATOR = Operator(
    name="glu",
    summary="Gated linear unit, same width.",
    params=GluParams,
    infer=infer,
    layer="smrdsl.ops.glu.layer:Glu",
    parameters=parameters,
    cost=cost,
    pointwise=lambda p: "end",
    equations="(a, g) = W x + b,  y = a * act(g)",
    source="Dauphin et al. 2017, Language Modeling with Gated Convolutional Networks",
    samples=(
        (GluParams(), (StreamType.real(8),)),
        (GluParams(act="silu", bias=False), (StreamType.real(5),)),
    ),
)
