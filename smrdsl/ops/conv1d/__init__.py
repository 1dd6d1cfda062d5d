"""conv1d: a short convolution over time.

    causal    y_t = b + sum_{k < K} w[k] x_{t - K + 1 + k}            the last tap is the present sample
    centred   y_t = b + sum_{k < K} w[k] x_{t - (K - 1) // 2 + k}     causal=false, torch's padding="same"

with zeros outside the sequence, and so behind its end in a padded batch. `weight` is (width, K) where each channel has
its own kernel (`depthwise`), and (width, input width, K) where it is dense; `bias` is (width). Taps lie in torch's
order, so that weights of nn.Conv1d fit. They start as those do, or as the identity. State: the last K - 1 inputs.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops._cores import TAPS
from smrdsl.ops.contract import Cost, Misfit, Operator, Parameter, Params, State, Streams, need_sequence, way


class Conv1dParams(Params):
    kernel: int = Field(gt=0, description="Length of the kernel in samples, the present one included.")
    width: int | None = Field(
        default=None, gt=0, description="Number of output channels; those of the input unless given."
    )
    depthwise: bool = Field(default=True, description="Whether each channel is convolved by itself.")
    causal: bool = Field(
        default=True,
        description="Whether only the present and past samples count; if not, the kernel is centred.",
    )
    bias: bool = Field(default=True, description="Whether a learned constant is added to each output channel.")
    init: Literal["default", "identity"] = Field(
        default="default",
        description="`default`: uniform within 1 / sqrt(inputs of one output), as torch's; `identity`: at "
        "first the output is the input.",
    )


def infer(p: Conv1dParams, inputs: Streams) -> StreamType:
    need_sequence("conv1d", inputs[0])
    width, own = inputs[0].width, p.width or inputs[0].width
    if p.depthwise and own != width:
        raise Misfit(
            f"conv1d: a depthwise kernel leaves its {width} channels, not {own}; write `depthwise=false`",
            argument="width",
        )
    if p.init == "identity" and own != width:
        raise Misfit(f"conv1d(init=identity): {width} channels cannot become {own} unchanged", argument="init")
    return inputs[0].with_width(own)


def before(p: Conv1dParams) -> int:
    """How many samples before the present one the kernel reaches."""
    return p.kernel - 1 if p.causal else (p.kernel - 1) // 2


def looks_ahead(p: Conv1dParams) -> bool:
    return before(p) < p.kernel - 1


def parameters(p: Conv1dParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    shape = (output.width, p.kernel) if p.depthwise else (output.width, inputs[0].width, p.kernel)
    own = {"weight": Parameter(shape)}
    if p.bias:
        own["bias"] = Parameter((output.width,), decay=False)
    return own


def state(p: Conv1dParams, inputs: Streams, output: StreamType) -> dict[str, State]:
    return {} if looks_ahead(p) else {"inputs": State((p.kernel - 1, inputs[0].width))}


def cost(p: Conv1dParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    mixed = 1 if p.depthwise else inputs[0].width
    direct = p.depthwise and p.causal and p.kernel <= TAPS and way(strategy)[1]
    padded = 0 if direct else length * inputs[0].width
    return Cost(2 * length * output.width * mixed * p.kernel, padded, inputs=direct)


OPERATOR = Operator(
    name="conv1d",
    summary="Short convolution over time.",
    params=Conv1dParams,
    infer=infer,
    layer="smrdsl.ops.conv1d.layer:Conv1d",
    parameters=parameters,
    state=state,
    cost=cost,
    looks_ahead=looks_ahead,
    uses_lengths=looks_ahead,
    families=("mixer",),
    short_filter=lambda p: "plain" if p.depthwise and not looks_ahead(p) else "",
    equations="causal: y_t = b + sum_{k < K} w[k] x_{t - K + 1 + k}\n"
    "causal=false: y_t = b + sum_{k < K} w[k] x_{t - (K - 1) // 2 + k}",
    reference="smrdsl.ops.conv1d.reference:reference",
    samples=(
        (Conv1dParams(kernel=4), (StreamType.real(6),)),
        (Conv1dParams(kernel=11, bias=False), (StreamType.real(3),)),
        (Conv1dParams(kernel=1, init="identity"), (StreamType.real(5),)),
        (Conv1dParams(kernel=3, width=7, depthwise=False), (StreamType.real(4),)),
        (Conv1dParams(kernel=2, depthwise=False, init="identity", bias=False), (StreamType.real(4),)),
        (Conv1dParams(kernel=4, causal=False), (StreamType.real(4),)),
        (Conv1dParams(kernel=5, width=3, depthwise=False, causal=False), (StreamType.real(4),)),
    ),
)
