"""signal: the input of a model of real-valued sequences, (batch, length, channels).

With `pair` two of them, (batch, 2, length, channels).
"""

from __future__ import annotations

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Cost, Operator, Params, Streams


class SignalParams(Params):
    channels: int = Field(gt=0, description="Number of channels of the input.")
    length: int | None = Field(
        default=None,
        gt=0,
        description="Length in samples that the compiler plans for; the module takes any length.",
    )
    timed: bool = Field(
        default=False,
        description="Whether the module also takes `dt` (batch, length): the gap before each sample, "
        "relative to the training step (1 = as trained).",
    )
    pair: bool = Field(
        default=False,
        description="Whether the input is pairs of sequences, (batch, 2, length, channels): all steps run on both with "
        "the same weights, up to `match`, which joins them.",
    )


def infer(p: SignalParams, inputs: Streams) -> StreamType:
    stream = StreamType.real(p.channels)
    return stream.pair() if p.pair else stream


def cost(p: SignalParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    return Cost()


OPERATOR = Operator(
    name="signal",
    summary="Input of real-valued sequences.",
    params=SignalParams,
    infer=infer,
    layer="",
    cost=cost,
    streams=(),
    families=("input",),
    samples=(
        (SignalParams(channels=3), ()),
        (SignalParams(channels=1, length=16, timed=True), ()),
        (SignalParams(channels=2, pair=True), ()),
    ),
)
