"""adaptive_softmax: the log-probability of each word of a large vocabulary, words in bands by their frequency.

    h = log softmax [x W_0^T, x C^T]                      the words of the first band, and each other band as a whole
    log p(w) = h_w                                        of a word of the first band
    log p(w) = h_(band i) + log softmax(x P_i W_i^T)_w    of one of band i

W_i is `weight_i` (words of band i, width / div^i), P_i is `proj_i` (input width, width / div^i), C is `clusters` (bands
after the first, input width). With `tie` all W_i and P_i are those of an `embed` with the same cutoffs, and C alone is
its own. The same numbers as torch's AdaptiveLogSoftmaxWithLoss without a bias; as there, cutoffs leave out the size of
the vocabulary. What it owns starts Xavier uniform, as fairseq has it.

Sources: Grave et al. 2017, "Efficient softmax approximation for GPUs" (1609.04309); Baevski & Auli 2018, "Adaptive
Input Representations for Neural Language Modeling" (1809.10853), which ties it to the embeddings.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from smrdsl.core.types import StreamType
from smrdsl.ops._bands import Band, bands, increasing
from smrdsl.ops.contract import Cost, LabelOf, Operator, Parameter, Params, Streams, need_real, positions

SOFTMAX_FLOPS = 5
"""For each word: shift, exponential, sum, logarithm, difference."""


class AdaptiveSoftmaxParams(Params):
    vocab: int = Field(gt=0, description="Number of words; the output has a log-probability for each.")
    cutoffs: list[int] = Field(
        description="Where the bands after the first begin, increasing, all below vocab: words are numbered by "
        "falling frequency."
    )
    div: float = Field(default=4.0, ge=1.0, description="How much narrower each band's vectors are than the last's.")
    tie: Annotated[str | None, LabelOf()] = Field(
        default=None,
        description="Label of the step whose vectors and projections are used in place of own ones, an `embed` with "
        "the same cutoffs and div, of the width of the stream.",
    )

    _increasing = field_validator("cutoffs")(increasing)


def parts(p: AdaptiveSoftmaxParams, inputs: Streams) -> tuple[Band, ...]:
    return bands("adaptive_softmax", p.vocab, inputs[0].width, p.cutoffs, p.div)


def infer(p: AdaptiveSoftmaxParams, inputs: Streams) -> StreamType:
    need_real("adaptive_softmax", inputs[0])
    parts(p, inputs)
    return inputs[0].with_width(p.vocab)


def parameters(p: AdaptiveSoftmaxParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    width, first = inputs[0].width, parts(p, inputs)[0]
    own: dict[str, Parameter] = {}
    if p.tie is None:
        own["weight_0"] = Parameter((first.size, first.width))
        for i, band in enumerate(parts(p, inputs)[1:], start=1):
            own[f"weight_{i}"] = Parameter((band.size, band.width))
            own[f"proj_{i}"] = Parameter((width, band.width))
    return own | {"clusters": Parameter((len(p.cutoffs), width))}


def cost(p: AdaptiveSoftmaxParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    rows, width = positions(inputs[0], length), inputs[0].width
    first, *others = parts(p, inputs)
    products = width * (first.size + len(others)) + sum(b.width * (width + b.size) for b in others)
    kept = p.vocab + len(others) + sum(b.width for b in others)
    return Cost(rows * (2 * products + SOFTMAX_FLOPS * p.vocab), rows * kept)


OPERATOR = Operator(
    name="adaptive_softmax",
    summary="Log-probabilities of a large vocabulary, words in bands by their frequency.",
    params=AdaptiveSoftmaxParams,
    infer=infer,
    layer="smrdsl.ops.adaptive_softmax.layer:AdaptiveSoftmax",
    parameters=parameters,
    cost=cost,
    equations="h = log softmax [x W_0^T, x C^T]\n"
    "log p(w) = h_w in the first band, h_(band i) + log softmax(x P_i W_i^T)_w in band i",
    source="Grave et al. 2017, Efficient softmax approximation for GPUs; Baevski & Auli 2018",
    samples=(
        (AdaptiveSoftmaxParams(vocab=11, cutoffs=[4, 7], div=2.0), (StreamType.real(8),)),
        (AdaptiveSoftmaxParams(vocab=9, cutoffs=[5]), (StreamType.pooled(8),)),
        (AdaptiveSoftmaxParams(vocab=11, cutoffs=[4, 7], div=2.0, tie="tok"), (StreamType.real(8),)),
    ),
)
