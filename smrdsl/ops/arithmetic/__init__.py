"""arithmetic: what `+`, `-`, `*`, unary minus and `/ number` make of streams, the rows of one table.

`add`, `sub` and `mul` take two streams of equal shape; `scale` and `shift` a stream and a number: `x / 4` is
scale(0.25), `1 - x` is shift(1) of neg.
"""

from __future__ import annotations

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Misfit, Operator, Params, Streams, keeping, need_real


class NoParams(Params):
    """No arguments."""


class ScaleParams(Params):
    value: float = Field(description="The number that each element is multiplied with.")


class ShiftParams(Params):
    value: float = Field(description="The number that is added to each element.")


def row(name: str, sign: str, equation: str, streams: tuple[str, ...], *arguments: Params) -> Operator:
    """An operation: `arguments` are those to test it with."""

    def infer(p: Params, inputs: Streams) -> StreamType:
        for stream in inputs:
            need_real(f"`{sign}`", stream)
        if inputs[0].dims != inputs[-1].dims:
            raise Misfit(f"`{sign}` needs streams of equal shape, these are {inputs[0]} and {inputs[1]}")
        return inputs[0]

    places = (StreamType.real(8), StreamType.pooled(5))
    return Operator(
        name=name,
        summary=f"Arithmetic on streams: {equation}.",
        params=type(arguments[0]),
        infer=infer,
        layer=f"smrdsl.ops.arithmetic.layer:{name.capitalize()}",
        cost=keeping(inputs=name == "mul"),
        adds=lambda p: name == "add",
        streams=streams,
        structural=True,
        pointwise=lambda p: "one",
        equations=f"y = {equation}",
        samples=tuple((p, (place,) * len(streams)) for p in arguments for place in places),
    )


OPERATORS = (
    row("add", "+", "a + b", ("a", "b"), NoParams()),
    row("sub", "-", "a - b", ("a", "b"), NoParams()),
    row("mul", "*", "a * b", ("a", "b"), NoParams()),
    row("neg", "-", "-x", ("x",), NoParams()),
    row("scale", "*", "value * x", ("x",), ScaleParams(value=0.25), ScaleParams(value=-3)),
    row("shift", "+", "x + value", ("x",), ShiftParams(value=1), ShiftParams(value=-0.5)),
)
