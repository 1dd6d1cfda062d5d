"""embed: a learned vector for each token, and where asked for one for each position.

    y_t = weight[token_t] + position_t

    learned      position_t = positions[t], a table of `max_length` rows
    sinusoidal   position_t[2i] = sin(t / 10000^(2i / width)), position_t[2i + 1] = cos of the same

Both tables start normal with standard deviation 0.02 (GPT-2's). Source of the positions: Vaswani et al. 2017,
"Attention Is All You Need", section 3.5; the vectors are not scaled by sqrt(width) as they are there.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Cost, Misfit, Operator, Parameter, Params, State, Streams


class EmbedParams(Params):
    width: int = Field(gt=0, description="Number of channels of the vectors.")
    positions: Literal["learned", "sinusoidal"] | None = Field(
        default=None,
        description="What tells positions apart: `none`, the layers after it; `learned`, a table of "
        "`max_length` vectors; `sinusoidal`, fixed waves, for any length.",
    )
    max_length: int | None = Field(
        default=None,
        gt=0,
        description="Longest sequence that positions=learned takes; a longer one is an error.",
    )


def infer(p: EmbedParams, inputs: Streams) -> StreamType:
    if inputs[0].kind != "index":
        raise Misfit(
            f"embed needs tokens, but the stream is of reals, {inputs[0]}; use `linear({p.width})`",
            code="E0401",
        )
    if p.positions == "learned" and p.max_length is None:
        raise Misfit(
            "embed(positions=learned) needs max_length, the number of positions to learn",
            argument="max_length",
            code="E0309",
        )
    return StreamType.real(p.width)


def parameters(p: EmbedParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    assert inputs[0].vocab is not None
    own = {"weight": Parameter((inputs[0].vocab, p.width))}
    if p.positions == "learned":
        assert p.max_length is not None
        own["positions"] = Parameter((p.max_length, p.width), decay=False)
    return own


def state(p: EmbedParams, inputs: Streams, output: StreamType) -> dict[str, State]:
    return {"position": State((), index=True)} if p.positions else {}


def cost(p: EmbedParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    return Cost(length * p.width if p.positions else 0.0, length)


OPERATOR = Operator(
    name="embed",
    summary="A learned vector for each token.",
    params=EmbedParams,
    infer=infer,
    layer="smrdsl.ops.embed.layer:Embed",
    parameters=parameters,
    state=state,
    cost=cost,
    equations="y_t = weight[token_t] + position_t\n"
    "sinusoidal: position_t[2i], position_t[2i + 1] = sin, cos of t / 10000^(2i / width)",
    source="Vaswani et al. 2017, Attention Is All You Need, section 3.5",
    samples=(
        (EmbedParams(width=6), (StreamType.index(11),)),
        (EmbedParams(width=4, positions="learned", max_length=64), (StreamType.index(5),)),
        (EmbedParams(width=5, positions="sinusoidal"), (StreamType.index(9),)),
    ),
)
