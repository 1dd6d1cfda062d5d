"""custom: any torch.nn.Module as an operator of the language.

    @smrdsl.operator(name="leaky", families=("mixer",))
    class Leaky(torch.nn.Module):
        "Leaky average of each channel."

        def __init__(self, width: int, keep: float = 0.9): ...
        def forward(self, x): ...               # (B, L, width) -> (B, L, any) or (B, any)
        def initial_state(self, batch): ...     # a tensor, a tuple or a dict of tensors, batch axis first
        def step(self, x, state): ...           # (B, width), state -> (B, any), state; nothing in place

and `leaky(keep=0.5)` is a step. Its arguments are those of `__init__`, by their annotations and defaults;
pydantic's `Field` in an `Annotated` gives limits and a description. An argument `width` without a default
is the width of the input unless the spec gives it, and comes last in the positional order. Several
parameters of `forward` are several streams: `leaky(a, b)`. The shape that it leaves and its parameters are
found by running it on meta tensors.

Without `step` and `initial_state` it cannot be streamed, unless `pointwise` says that it treats each
position by itself, as everything in the family `act` does. With them, `extend(x, state) -> (y, state)` is
used for chunks where it is there. Initial values are those of `__init__`, run with torch's generator seeded
for this step alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import Field, PydanticSchemaGenerationError, create_model

from smrdsl.core.errors import SmrError
from smrdsl.ops.contract import Operator, Params, always
from smrdsl.ops.custom.blueprint import Blueprint
from smrdsl.ops.registry import register

Class = TypeVar("Class", bound=type)


def operator(
    *,
    name: str,
    families: tuple[str, ...] = (),
    pointwise: bool = False,
    summary: str = "",
    equations: str = "",
    source: str = "",
) -> Callable[[Class], Class]:
    """Make the decorated torch.nn.Module the operator `name` of this process; see this module's docstring.

    The class is returned as it was, with the `Operator` as its attribute `OPERATOR`, so that an entry point
    of the group `smrdsl.operators` may name it. Raises `SmrError` if its arguments cannot be those of an
    operator.
    """
    if not name.isidentifier():
        raise SmrError(f"@operator(name={name!r}): a name has letters, digits and _ only")

    def decorate(cls: Class) -> Class:
        params, takes_width = arguments(cls, name)
        blueprint = Blueprint(name, cls, takes_width, pointwise or "act" in families)
        op = Operator(
            name=name,
            summary=summary or inspect.cleandoc(cls.__doc__ or f"{cls.__name__}.").splitlines()[0],
            params=params,
            infer=blueprint.infer,
            layer=blueprint.layer,
            parameters=blueprint.parameters,
            state=blueprint.state,
            cost=blueprint.cost,
            looks_ahead=blueprint.looks_ahead,
            learns_forward=always,  # for all that is known
            streams=streams(cls, name),
            families=families,
            equations=equations,
            source=source,
        )
        cls.OPERATOR = op
        register(op)
        return cls

    return decorate


def arguments(cls: type, name: str) -> tuple[type[Params], bool]:
    """The arguments of an operator made of `cls`, and whether `width` is one that the stream gives."""
    try:
        hints = get_type_hints(cls.__init__, include_extras=True)
    except NameError as error:
        raise SmrError(
            f"@operator(name={name!r}): an annotation of {cls.__name__}.__init__ cannot be read: {error}"
        ) from None
    fields: dict[str, Any] = {}
    width: dict[str, Any] = {}
    for parameter in named(cls.__init__):
        required = parameter.default is inspect.Parameter.empty
        if parameter.name == "width" and required:
            described = Field(default=None, gt=0, description="Channels of the input; the stream's unless given.")
            width["width"] = (int | None, described)
            continue
        hint = hints.get(parameter.name, None if required else type(parameter.default))
        if hint is None or hint is type(None):
            raise SmrError(f"@operator(name={name!r}): argument `{parameter.name}` of {cls.__name__} has no annotation")
        fields[parameter.name] = (
            described_as(hint, parameter.name, cls),
            ... if required else parameter.default,
        )
    try:
        params = create_model(f"{cls.__name__}Params", __base__=Params, **fields, **width)
    except PydanticSchemaGenerationError as error:
        raise SmrError(f"@operator(name={name!r}): {error.message.splitlines()[0]}") from None
    return params, bool(width)


def described_as(hint: Any, argument: str, cls: type) -> Any:
    """The annotation, with a description for the manual where it has none."""
    if get_origin(hint) is Annotated and any(getattr(m, "description", None) for m in get_args(hint)[1:]):
        return hint
    return Annotated[hint, Field(description=f"`{argument}` of {cls.__name__}.")]


def streams(cls: type, name: str) -> tuple[str, ...]:
    """The streams of an operator made of `cls`: the parameters of its `forward` that have no default."""
    found = tuple(p.name for p in named(cls.forward) if p.default is inspect.Parameter.empty)
    if not found:
        raise SmrError(f"@operator(name={name!r}): {cls.__name__}.forward takes no stream, write `forward(self, x)`")
    return found


def named(function: Any) -> list[inspect.Parameter]:
    """The parameters of a method that have names of their own, `self` left out."""
    _, *others = inspect.signature(function).parameters.values()
    return [p for p in others if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
