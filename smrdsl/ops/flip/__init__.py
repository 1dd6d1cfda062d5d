"""flip: reverses time. `bidirectional` puts it before and after the block that runs backwards.

In a padded batch each sequence is reversed by itself, within its own length: its padding stays behind it, so that the
block between two flips sees a padded batch as well.
"""

from __future__ import annotations

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Cost, Operator, Params, Streams, always, need_sequence


class FlipParams(Params):
    """No arguments."""


def infer(p: FlipParams, inputs: Streams) -> StreamType:
    need_sequence("flip", inputs[0])
    return inputs[0]


def looks_ahead(p: FlipParams) -> bool:
    return True


def cost(p: FlipParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    return Cost(inputs=False)


OPERATOR = Operator(
    name="flip",
    summary="Reverses time.",
    params=FlipParams,
    infer=infer,
    layer="smrdsl.ops.flip.layer:Flip",
    cost=cost,
    looks_ahead=looks_ahead,
    uses_lengths=always,
    reverses=True,
    structural=True,
    equations="y_t = x_{L - 1 - t}",
    samples=((FlipParams(), (StreamType.real(8),)), (FlipParams(), (StreamType.real(1),))),
)
