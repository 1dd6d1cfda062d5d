"""norm: brings the channels to a common scale.

    layer   (x - mean) / sqrt(var + eps) * weight + bias      over the channels of one position
    rms     x / sqrt(mean(x^2) + eps) * weight                the same, or over groups of channels
    batch   (x - mean) / sqrt(var + eps) * weight + bias      of one channel over batch and time
    scale   g * x / sqrt(mean(x^2) + eps)                     the same as rms; g is one number

`batch` uses the statistics of the batch in training and running ones in evaluation, `running_mean` and `running_var`
(momentum 0.1, the running variance unbiased, as torch's); so it can be stepped in evaluation mode only. In a padded
batch only what belongs to a sequence counts. `g` starts at 1, as in Mega's code; the paper's own g is ours times
sqrt(width). Sources: layer, Ba et al. 2016; rms, Zhang and Sennrich 2019; batch, Ioffe and Szegedy 2015; scale, Nguyen
and Salazar 2019.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import (
    Cost,
    Misfit,
    Operator,
    Parameter,
    Params,
    Streams,
    need_real,
    need_sequence,
    positions,
)


class NormParams(Params):
    kind: Literal["layer", "rms", "batch", "scale"] = Field(
        default="layer",
        description="`layer`: mean and variance of each position; `rms`: its root mean square; `batch`: mean "
        "and variance of each channel over batch and time; `scale`: as rms, with one learned number.",
    )
    eps: float = Field(default=1e-5, gt=0, description="Added to the variance or mean square.")
    groups: int = Field(
        default=1,
        gt=0,
        description="Groups of channels that `rms` treats each by itself (Mamba-2's grouped norm).",
    )
    affine: bool = Field(default=True, description="Whether the result is scaled (and shifted) by learned numbers.")


def infer(p: NormParams, inputs: Streams) -> StreamType:
    stream = inputs[0]
    need_real("norm", stream)
    if p.kind != "layer":
        need_sequence(f"norm({p.kind})", stream)
    if p.groups > 1 and p.kind != "rms":
        raise Misfit(f"norm: groups are for kind=rms, not {p.kind}", argument="groups", code="E0309")
    if stream.width % p.groups:
        raise Misfit(f"norm: {stream.width} channels are not divisible by {p.groups} groups", argument="groups")
    return stream


def parameters(p: NormParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    if not p.affine:
        return {}
    if p.kind == "scale":
        return {"g": Parameter((1,), decay=False)}
    vector = Parameter((inputs[0].width,), decay=False)
    return {"weight": vector} if p.kind == "rms" else {"weight": vector, "bias": vector}


def uses_lengths(p: NormParams) -> bool:
    return p.kind == "batch"


def cost(p: NormParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    rows, width = positions(inputs[0], length), inputs[0].width
    scaled = width if p.affine and p.kind in ("rms", "scale") else 0
    return Cost(8 * rows * width, 0 if p.kind == "batch" else rows * (scaled + 2 * p.groups))


OPERATOR = Operator(
    name="norm",
    summary="Normalises the channels.",
    params=NormParams,
    infer=infer,
    layer="smrdsl.ops.norm.layer:Norm",
    parameters=parameters,
    cost=cost,
    uses_lengths=uses_lengths,
    learns_forward=uses_lengths,
    channel_map=lambda p: "diagonal" if p.kind == "batch" else "",
    families=("norm",),
    equations="layer, batch: y = (x - mean) / sqrt(var + eps) * weight + bias\n"
    "rms: y = x / sqrt(mean(x^2) + eps) * weight\nscale: y = g x / sqrt(mean(x^2) + eps)",
    source="Ba et al. 2016; Zhang and Sennrich 2019; Ioffe and Szegedy 2015; Nguyen and Salazar 2019",
    samples=(
        (NormParams(), (StreamType.real(8),)),
        (NormParams(eps=1e-6, affine=False), (StreamType.pooled(5),)),
        (NormParams(kind="rms"), (StreamType.real(6),)),
        (NormParams(kind="rms", groups=2, affine=False), (StreamType.real(6),)),
        (NormParams(kind="rms", groups=3), (StreamType.real(6),)),
        (NormParams(kind="batch"), (StreamType.real(4),)),
        (NormParams(kind="batch", affine=False), (StreamType.real(4),)),
        (NormParams(kind="scale"), (StreamType.real(7),)),
        (NormParams(kind="scale", affine=False), (StreamType.real(7),)),
    ),
)
