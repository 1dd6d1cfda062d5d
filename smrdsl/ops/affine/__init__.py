"""affine: a learned scale and shift of each channel.

    y = scale * x + shift

`scale` (width) starts at the argument, with normal noise where `std` says so, `shift` (width) at zero.
"""

from __future__ import annotations

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Operator, Parameter, Params, Streams, need_real


class AffineParams(Params):
    scale: float = Field(default=1.0, description="What the scale of every channel starts at (LayerScale: 1e-4).")
    shift: bool = Field(default=True, description="Whether a learned constant, zero at first, is added.")
    std: float = Field(
        default=0.0, ge=0, description="Deviation of the normal noise on the scales at the start (Mega: 0.02 around 0)."
    )


def infer(p: AffineParams, inputs: Streams) -> StreamType:
    need_real("affine", inputs[0])
    return inputs[0]


def parameters(p: AffineParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    vector = Parameter((inputs[0].width,), decay=False)
    return {"scale": vector, "shift": vector} if p.shift else {"scale": vector}


OPERATOR = Operator(
    name="affine",
    summary="Learned scale and shift of each channel.",
    params=AffineParams,
    infer=infer,
    layer="smrdsl.ops.affine.layer:Affine",
    parameters=parameters,
    channel_map=lambda p: "diagonal",
    pointwise=lambda p: "one",
    equations="y = scale * x + shift",
    samples=(
        (AffineParams(), (StreamType.real(8),)),
        (AffineParams(scale=1e-4, shift=False), (StreamType.pooled(5),)),
        (AffineParams(scale=0.0, std=0.02), (StreamType.real(4),)),
    ),
)
