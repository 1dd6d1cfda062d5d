"""match: one vector of the two of a pair, for models that compare sequences.

    y = [a, b, a - b, a * b],  a the first and b the second

It follows `pool` in a model whose input says `pair=true`. With an MLP after it, it is the head of the Retrieval task of
Tay et al. 2021, "Long Range Arena" (arXiv 2011.04006), in the order of S4's published code.
"""

from __future__ import annotations

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Cost, Misfit, Operator, Params, Streams, need_real


class MatchParams(Params):
    """No arguments."""


def infer(p: MatchParams, inputs: Streams) -> StreamType:
    stream = inputs[0]
    need_real("match", stream)
    if not stream.paired:
        reason = "it is joined once, and made by the input: `tokens(..., pair=true)`"
        raise Misfit(f"match: the stream is no pair; {reason}", code="E0401")
    if stream.timed:
        raise Misfit("match: the pair still has its time axis; put `pool(mean)` before it", code="E0401")
    return StreamType.pooled(4 * stream.width)


def cost(p: MatchParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    return Cost(2 * inputs[0].width)


OPERATOR = Operator(
    name="match",
    summary="One vector of a pair: the first, the second, their difference, their product.",
    params=MatchParams,
    infer=infer,
    layer="smrdsl.ops.match.layer:Match",
    cost=cost,
    joins_pair=True,
    equations="y = [a, b, a - b, a * b]",
    source="Tay et al. 2021, Long Range Arena, Retrieval",
    samples=((MatchParams(), (StreamType.pooled(6).pair(),)), (MatchParams(), (StreamType.pooled(1).pair(),))),
)
