"""embed: a learned vector for each token, and where asked for one for each position.

    y_t = weight[token_t] + position_t

    learned      position_t = positions[t], a table of `max_length` rows
    sinusoidal   position_t[2i] = sin(t / 10000^(2i / width)), position_t[2i + 1] = cos of the same

Both tables start normal with standard deviation 0.02 (GPT-2's). Source of the positions: Vaswani et al. 2017,
"Attention Is All You Need", section 3.5; the vectors are not scaled by sqrt(width) as they are there.

With `cutoffs` words are in bands by their frequency, and band i has vectors of width / div^i, projected to the width:

    y_t = P_i weight_i[token_t - start of band i] + position_t,  P_i = proj_i (width, width / div^i)

Source: Baevski & Auli 2018, "Adaptive Input Representations for Neural Language Modeling" (1809.10853); as in fairseq's
code weight_i starts normal with standard deviation (width / div^i)^(-1/2), and proj_i Xavier uniform.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from smrdsl.core.types import StreamType
from smrdsl.ops._bands import Band, bands, increasing
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
    cutoffs: list[int] | None = Field(
        default=None,
        description="Where the bands after the first begin, increasing, all below the size of the vocabulary: words "
        "are numbered by falling frequency. `none`: all words have vectors of the whole width.",
    )
    div: float = Field(
        default=4.0, ge=1.0, description="With cutoffs, how much narrower each band's vectors are than the last's."
    )

    _increasing = field_validator("cutoffs")(increasing)


def parts(p: EmbedParams, inputs: Streams) -> tuple[Band, ...]:
    """The bands; none without cutoffs."""
    assert inputs[0].vocab is not None
    return bands("embed", inputs[0].vocab, p.width, p.cutoffs, p.div) if p.cutoffs else ()


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
    parts(p, inputs)
    return StreamType.real(p.width)


def parameters(p: EmbedParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    own: dict[str, Parameter] = {}
    for i, band in enumerate(parts(p, inputs)):
        own[f"weight_{i}"] = Parameter((band.size, band.width))
        own[f"proj_{i}"] = Parameter((p.width, band.width))
    if not own:
        assert inputs[0].vocab is not None
        own["weight"] = Parameter((inputs[0].vocab, p.width))
    if p.positions == "learned":
        assert p.max_length is not None
        own["positions"] = Parameter((p.max_length, p.width), decay=False)
    return own


def state(p: EmbedParams, inputs: Streams, output: StreamType) -> dict[str, State]:
    return {"position": State((), index=True)} if p.positions else {}


def cost(p: EmbedParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    banded = sum(band.width for band in parts(p, inputs))
    added = p.width if p.positions else 0.0
    kept = banded + p.width if len(parts(p, inputs)) > 1 else 0
    return Cost(length * (2 * p.width * banded + added), length * kept)


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
    "with cutoffs: y_t = proj_i weight_i[token_t - start of band i] + position_t\n"
    "sinusoidal: position_t[2i], position_t[2i + 1] = sin, cos of t / 10000^(2i / width)",
    source="Vaswani et al. 2017, Attention Is All You Need, section 3.5; Baevski & Auli 2018",
    samples=(
        (EmbedParams(width=6), (StreamType.index(11),)),
        (EmbedParams(width=4, positions="learned", max_length=64), (StreamType.index(5),)),
        (EmbedParams(width=5, positions="sinusoidal"), (StreamType.index(9),)),
        (EmbedParams(width=8, cutoffs=[4, 7], div=2.0), (StreamType.index(11),)),
    ),
)
