"""dropout: in training each element is zeroed with probability p, and the rest divided by 1 - p.

`tied=true` draws one mask for all times of a sequence (of a stream: for each chunk), as S4 and S5 do. In
evaluation it does nothing. Source: Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks
from Overfitting".
"""

from __future__ import annotations

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Cost, Operator, Params, Streams, elements, need_real


class DropoutParams(Params):
    p: float = Field(ge=0, lt=1, description="Probability with which an element is zeroed in training.")
    tied: bool = Field(default=False, description="Whether a channel is kept or dropped for the whole sequence.")


def infer(p: DropoutParams, inputs: Streams) -> StreamType:
    need_real("dropout", inputs[0])
    return inputs[0]


def cost(p: DropoutParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    """What is kept is which elements were: as many numbers as come in, or one for each channel."""
    numbers = elements(inputs, length)
    return Cost(numbers, inputs[0].width if p.tied else numbers, inputs=False)


def drops_nothing(p: DropoutParams) -> bool:
    return p.p == 0


OPERATOR = Operator(
    name="dropout",
    summary="Zeroes elements at random in training.",
    params=DropoutParams,
    infer=infer,
    layer="smrdsl.ops.dropout.layer:Dropout",
    cost=cost,
    identity=drops_nothing,
    pointwise=lambda p: "one",
    equations="y = x * Bernoulli(1 - p) / (1 - p) in training, x in evaluation",
    source="Srivastava et al. 2014",
    samples=(
        (DropoutParams(p=0.1), (StreamType.real(8),)),
        (DropoutParams(p=0.5, tied=True), (StreamType.real(8),)),
        (DropoutParams(p=0.2), (StreamType.pooled(5),)),
    ),
)
