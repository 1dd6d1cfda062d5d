"""residual: adds what a block leaves to the block's input.

    y = x + scale * f

Made by `residual(scale=1.0) { f }`. Source: He et al. 2016, "Deep Residual Learning".
"""

from __future__ import annotations

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Misfit, Operator, Params, Streams, keeping, need_real


class ResidualParams(Params):
    scale: float = Field(default=1.0, description="Factor of what the block leaves, before it is added.")


def infer(p: ResidualParams, inputs: Streams) -> StreamType:
    x, f = inputs
    need_real("residual", x)
    need_real("residual", f)
    if x.dims != f.dims:
        raise Misfit(f"residual: the block leaves {f}, but its input, to which that is added, is {x}")
    return x


OPERATOR = Operator(
    name="residual",
    summary="Adds a block's input to what the block leaves.",
    params=ResidualParams,
    infer=infer,
    layer="smrdsl.ops.residual.layer:Residual",
    cost=keeping(),
    streams=("x", "f"),
    structural=True,
    pointwise=lambda p: "one",
    equations="y = x + scale * f(x)",
    source="He et al. 2016, Deep Residual Learning",
    samples=(
        (ResidualParams(), (StreamType.real(8), StreamType.real(8))),
        (ResidualParams(scale=0.5), (StreamType.pooled(5), StreamType.pooled(5))),
    ),
)
