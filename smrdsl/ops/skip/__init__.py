"""skip: does nothing; it stands where a block needs a step."""

from __future__ import annotations

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Cost, Operator, Params, Streams, always, need_real


class SkipParams(Params):
    """No arguments."""


def infer(p: SkipParams, inputs: Streams) -> StreamType:
    need_real("skip", inputs[0])
    return inputs[0]


def cost(p: SkipParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    return Cost(inputs=False)


OPERATOR = Operator(
    name="skip",
    summary="Does nothing.",
    params=SkipParams,
    infer=infer,
    layer="smrdsl.ops.skip.layer:Skip",
    cost=cost,
    identity=always,
    equations="y = x",
    samples=((SkipParams(), (StreamType.real(8),)), (SkipParams(), (StreamType.pooled(5),))),
)
