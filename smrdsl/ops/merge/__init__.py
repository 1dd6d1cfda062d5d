"""merge: what joins the branches of `parallel` and the two directions of `bidirectional`.

add     a + b + ...
mul     a * b * ...
mean    (a + b + ...) / n
concat  channels side by side, in the order written
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Cost, Misfit, Operator, Params, Streams, elements, need_real, need_sequence

Merge = Literal["add", "mul", "mean", "concat"]
MERGES = "`add`, `mul` and `mean` need equal widths, `concat` puts the channels side by side."


class ParallelParams(Params):
    merge: Merge = Field(description=f"How the branches are joined: {MERGES}")


class BidirectionalParams(Params):
    merge: Merge = Field(default="concat", description=f"How the two directions are joined: {MERGES}")


def infer_merge(name: str, merge: Merge, inputs: Streams) -> StreamType:
    """The type of the joined branches."""
    for stream in inputs:
        need_real(name, stream)
    first, *others = inputs
    if any(stream.dims[:-1] != first.dims[:-1] for stream in others):
        raise Misfit(f"{name}(merge={merge}): branches leave {enumeration(inputs)}", code="E0401")
    widths = [stream.width for stream in inputs]
    if merge == "concat":
        return first.with_width(sum(widths))
    if len(set(widths)) > 1:
        raise Misfit(f"{name}(merge={merge}): branches leave {enumeration(widths)} channels")
    return first


def enumeration(items: Streams | list[int]) -> str:
    """`64, 32 and 16`"""
    *most, last = map(str, items)
    return f"{', '.join(most)} and {last}"


def infer_parallel(p: ParallelParams, inputs: Streams) -> StreamType:
    return infer_merge("parallel", p.merge, inputs)


def infer_bidirectional(p: BidirectionalParams, inputs: Streams) -> StreamType:
    for stream in inputs:
        need_sequence("bidirectional", stream)
    return infer_merge("bidirectional", p.merge, inputs)


def cost(
    p: ParallelParams | BidirectionalParams, inputs: Streams, output: StreamType, length: int, strategy: str
) -> Cost:
    """Only products are kept, with what they were made of."""
    numbers, more = elements(inputs, length), elements(inputs[2:], length)
    return Cost(numbers, more if p.merge == "mul" else 0, inputs=p.merge == "mul")


def pointwise(p: ParallelParams | BidirectionalParams) -> str:
    return "" if p.merge == "concat" else "one"


def always(p: Params) -> bool:
    return True


def samples(make: Callable[..., Params]) -> tuple[tuple[Params, Streams], ...]:
    x, y = StreamType.real(4), StreamType.real(3)
    return (
        (make(merge="add"), (x, x)),
        (make(merge="mul"), (x, x)),
        (make(merge="mean"), (x, x)),
        (make(merge="concat"), (x, y)),
    )


PARALLEL = Operator(
    name="parallel",
    summary="Joins what parallel branches leave.",
    params=ParallelParams,
    infer=infer_parallel,
    pointwise=pointwise,
    adds=lambda p: p.merge == "add",
    layer="smrdsl.ops.merge.layer:Merged",
    cost=cost,
    streams=("x", "..."),
    structural=True,
    equations="add: y = a + b + ...;  mul: y = a * b * ...\nmean: y = (a + b + ...) / n;  concat: y = [a, b, ...]",
    samples=(
        *samples(ParallelParams),
        (ParallelParams(merge="mean"), (StreamType.real(4),)),
        (ParallelParams(merge="mul"), (StreamType.pooled(4),) * 3),
        (ParallelParams(merge="concat"), (StreamType.pooled(4), StreamType.pooled(2), StreamType.pooled(3))),
    ),
)

BIDIRECTIONAL = Operator(
    name="bidirectional",
    summary="Joins what a block leaves on the sequence and on its reverse.",
    params=BidirectionalParams,
    infer=infer_bidirectional,
    pointwise=pointwise,
    layer="smrdsl.ops.merge.layer:Merged",
    cost=cost,
    looks_ahead=always,
    streams=("ahead", "back"),
    structural=True,
    equations="a = f(x);  b = flip(g(flip(x)))\n"
    "add: y = a + b;  mul: y = a * b;  mean: y = (a + b) / 2;  concat: y = [a, b]",
    source="Schuster and Paliwal 1997, Bidirectional Recurrent Neural Networks",
    samples=samples(BidirectionalParams),
)

OPERATORS = (PARALLEL, BIDIRECTIONAL)
