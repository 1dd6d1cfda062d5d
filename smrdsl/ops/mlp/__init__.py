"""mlp: the position-wise feed-forward block, without residual and norm.

    y = W2 act(W1 x + b1) + b2                          gated=false
    y = W2 (act(W1 x + b1) * (V x + c)) + b2            gated=true

Source: Vaswani et al. 2017, "Attention Is All You Need", eq. 2; the gated form and its letters from Shazeer
2020, "GLU Variants Improve Transformer". Weights and biases start as torch's Linear does.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import (
    Cost,
    Family,
    Operator,
    Parameter,
    Params,
    Streams,
    need_real,
    positions,
)
from smrdsl.ops.pointwise import act_parameters, find_activation


class MlpParams(Params):
    hidden: int | None = Field(default=None, gt=0, description="Width inside; 4 * width unless given.")
    act: Annotated[str, Family("act")] = Field(default="gelu", description="Activation.")
    gated: bool = Field(
        default=False,
        description="Whether a second map of the input multiplies the hidden channels (act=silu: SwiGLU).",
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Probability with which a hidden channel is dropped in training."
    )
    bias: bool = Field(default=True, description="Whether the maps add learned constants.")


def hidden_width(p: MlpParams, width: int) -> int:
    return p.hidden or 4 * width


def inside(p: MlpParams, x: StreamType) -> StreamType:
    """The stream that the activation sees."""
    return x.with_width(hidden_width(p, x.width))


def infer(p: MlpParams, inputs: Streams) -> StreamType:
    need_real("mlp", inputs[0])
    find_activation(p.act, inside(p, inputs[0]))
    return inputs[0]


def parameters(p: MlpParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    width, hidden = inputs[0].width, hidden_width(p, inputs[0].width)
    own = {"W1": Parameter((hidden, width)), "W2": Parameter((width, hidden))}
    if p.gated:
        own["V"] = Parameter((hidden, width))
    if p.bias:
        own["b1"] = Parameter((hidden,), decay=False)
        own["b2"] = Parameter((width,), decay=False)
        if p.gated:
            own["c"] = Parameter((hidden,), decay=False)
    return own | act_parameters(p.act, inside(p, inputs[0]))


def cost(p: MlpParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    rows, width, hidden = positions(inputs[0], length), inputs[0].width, hidden_width(p, inputs[0].width)
    maps, kept = (3, 4) if p.gated else (2, 2)
    return Cost(rows * hidden * (2 * maps * width + maps - 1), rows * kept * hidden)


OPERATOR = Operator(
    name="mlp",
    summary="Position-wise feed-forward block.",
    params=MlpParams,
    infer=infer,
    layer="smrdsl.ops.mlp.layer:Mlp",
    parameters=parameters,
    cost=cost,
    equations="y = W2 act(W1 x + b1) + b2\ngated: y = W2 (act(W1 x + b1) * (V x + c)) + b2",
    source="Vaswani et al. 2017, eq. 2; gated: Shazeer 2020, GLU Variants Improve Transformer",
    samples=(
        (MlpParams(), (StreamType.real(6),)),
        (MlpParams(hidden=10, act="silu", gated=True, dropout=0.1), (StreamType.real(4),)),
        (MlpParams(hidden=5, bias=False, gated=True), (StreamType.pooled(4),)),
        (MlpParams(act="relu2", bias=False), (StreamType.pooled(3),)),
    ),
)
