"""The activations: functions of one number, rows of one table (family `act`), and their use inside others.

`mlp`, `glu`, `gated` and their kin take the name of any operator of the family, a user's own included. The
functions below resolve such a name; what the activation learns belongs to its host, under `act.`.

    laplace: Ma et al. 2022, "Mega: Moving Average Equipped Gated Attention"; it approximates relu2
    relu2:   So et al. 2021, "Primer: Searching for Efficient Transformers for Language Modeling"
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError

from smrdsl.core.errors import did_you_mean
from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Misfit, Operator, Parameter, Params, Streams, keeping, need_real


class GeluParams(Params):
    approximate: Literal["tanh"] | None = Field(
        default=None,
        description="`none`: exact, by the error function (torch's); `tanh`: its approximation (flax's).",
    )


class NoParams(Params):
    """No arguments."""


KEEP_OUTPUT = ("relu", "tanh", "sigmoid")
"""Their derivative is a function of what they leave."""
KEEP_OWN = ("relu2", "laplace")
"""Their derivative needs what is made on the way."""

ENDS_FILTER = ("silu",)
"""What the native kernel of short filters can end with."""


def row(name: str, equation: str, params: type[Params] = NoParams, *others: Params) -> Operator:
    """An activation: `others` are arguments to test besides the defaults."""

    def infer(p: Params, inputs: Streams) -> StreamType:
        need_real(name, inputs[0])
        return inputs[0]

    places = (StreamType.real(8), StreamType.pooled(5))
    return Operator(
        name=name,
        summary=f"Activation, y = {equation}.",
        params=params,
        infer=infer,
        layer=f"smrdsl.ops.pointwise.layer:{name.capitalize()}",
        cost=keeping(name in KEEP_OWN, inputs=name not in KEEP_OUTPUT + KEEP_OWN, output=name in KEEP_OUTPUT),
        families=("act",),
        pointwise=lambda p: "some" if name in KEEP_OWN else "one",
        ends_filter=lambda p: name if name in ENDS_FILTER else "",
        equations=f"y = {equation}",
        samples=tuple((p, (place,)) for p in (params(), *others) for place in places),
    )


OPERATORS = (
    row("gelu", "x P(N(0, 1) <= x)", GeluParams, GeluParams(approximate="tanh")),
    row("silu", "x sigmoid(x)"),
    row("relu", "max(x, 0)"),
    row("relu2", "max(x, 0)^2"),
    row("tanh", "tanh(x)"),
    row("sigmoid", "1 / (1 + exp(-x))"),
    row("softplus", "log(1 + exp(x))"),
    row("laplace", "0.5 (1 + erf((x - 0.707107) / (0.282095 sqrt 2)))"),
)


def find_activation(name: str, stream: StreamType) -> tuple[Operator, Any]:
    """The activation called `name`, and its default arguments; Misfit if it cannot stand inside another."""
    from smrdsl.ops.registry import families, operators

    known = families().get("act", ())
    if name not in known:
        raise Misfit(f"`{name}` is no activation{did_you_mean(name, known)}", argument="act", code="E0306")
    op = operators()[name]
    try:
        p = op.params()
    except ValidationError:
        raise Misfit(f"{name} needs arguments: use it as a step", argument="act", code="E0309") from None
    output = op.infer(p, (stream,))
    if output != stream or op.state(p, (stream,), output):
        raise Misfit(f"{name} is not pointwise: use it as a step", argument="act", code="E0309")
    return op, p


def act_parameters(name: str, stream: StreamType) -> dict[str, Parameter]:
    """What the activation learns, as its host names it."""
    op, p = find_activation(name, stream)
    return {f"act.{key}": value for key, value in op.parameters(p, (stream,), stream).items()}
