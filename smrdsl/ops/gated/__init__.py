"""gated: multiplies a block's input with the activation of what the block leaves.

    y = x * act(f)

Made by `gated(act) { f }`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Family, Misfit, Operator, Parameter, Params, Streams, keeping, need_real
from smrdsl.ops.pointwise import act_parameters, find_activation


class GatedParams(Params):
    act: Annotated[str, Family("act")] = Field(description="Activation of what the block leaves.")


def infer(p: GatedParams, inputs: Streams) -> StreamType:
    x, f = inputs
    need_real("gated", x)
    need_real("gated", f)
    if x.dims != f.dims:
        raise Misfit(f"gated: the block leaves {f}, but its input, which that gates, is {x}")
    find_activation(p.act, f)
    return x


def parameters(p: GatedParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    return act_parameters(p.act, inputs[1])


OPERATOR = Operator(
    name="gated",
    summary="Multiplies a block's input with the activation of what the block leaves.",
    params=GatedParams,
    infer=infer,
    layer="smrdsl.ops.gated.layer:Gated",
    parameters=parameters,
    cost=keeping(own=0.5, inputs=True),
    streams=("x", "f"),
    structural=True,
    pointwise=lambda p: "some",
    equations="y = x * act(f(x))",
    samples=(
        (GatedParams(act="sigmoid"), (StreamType.real(8), StreamType.real(8))),
        (GatedParams(act="gelu"), (StreamType.pooled(5), StreamType.pooled(5))),
    ),
)
