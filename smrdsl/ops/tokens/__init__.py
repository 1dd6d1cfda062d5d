"""tokens: the input of a model of sequences of whole numbers, (batch, length), each from 0 to vocab - 1.

With `pair` two of them, (batch, 2, length).
"""

from __future__ import annotations

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Cost, Operator, Params, Streams


class TokensParams(Params):
    vocab: int = Field(gt=0, description="Number of different tokens; each is a whole number from 0 to vocab - 1.")
    length: int | None = Field(
        default=None,
        gt=0,
        description="Length in tokens that the compiler plans for; the module takes any length.",
    )
    timed: bool = Field(
        default=False,
        description="Whether the module also takes `dt` (batch, length): the gap before each token, relative "
        "to the training step (1 = as trained).",
    )
    pair: bool = Field(
        default=False,
        description="Whether the input is pairs of sequences, (batch, 2, length): all steps run on both with the "
        "same weights, up to `match`, which joins them.",
    )


def infer(p: TokensParams, inputs: Streams) -> StreamType:
    stream = StreamType.index(p.vocab)
    return stream.pair() if p.pair else stream


def cost(p: TokensParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    return Cost()


OPERATOR = Operator(
    name="tokens",
    summary="Input of sequences of whole numbers; `embed` follows.",
    params=TokensParams,
    infer=infer,
    layer="",
    cost=cost,
    streams=(),
    families=("input",),
    samples=(
        (TokensParams(vocab=7), ()),
        (TokensParams(vocab=256, length=16, timed=True), ()),
        (TokensParams(vocab=9, pair=True), ()),
    ),
)
