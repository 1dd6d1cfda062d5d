"""smr: State Memory Replay, a learned local convolution of the input that is multiplied onto the input.

    r[t, d] = sum_{j < memory} m[d, j] u[t - j, d]    learned memories, zeros before the sequence
    q[t, d] = sum_{k < kernel} w[d, k] r[t - k, d]    gate kernel; q = r where kernel=1
    p[t, :] = b + M q[t, :]                           mix=pointwise; p = b + q without it
    y[t, d] = u[t, d] gate(p[t, d])

Source: Qi et al. 2024, "SMR: State Memory Replay for Long Sequence Modeling" (Findings of ACL, arXiv
2405.17534). The text available to us gives the idea, not the gate, the sizes or the initial values: this is
our reading, with every choice an argument. Placed in front of a state-space core it leaves the core's
convolution form as it is.

With steps=true, ours and not the paper's, the gate sees the gaps of a timed stream: "j samples ago" becomes "j steps
ago". u[t - j] is then the input at that time, on a straight line between the samples around it:

    r(s) = sum_{j < memory} m_j u(s - j)        q(s) = sum_{k < kernel} w_k r(s - k)        at the times s of samples

With gaps of 1 that is the plain smr. Twice as many inputs are remembered, so that memories reach as far back on a grid
up to twice as fine; behind the oldest one, its value is held.

Initial values. `identity`: m = 0, w one tap, M = 1, and b where gate(b) = 1, so that y = u at first:
putting it into a trained model changes nothing, bit for bit (silu: to rounding). `random`: m, w and b
uniform as a convolution's. State: the last memory + kernel - 2 inputs; with steps=true twice as many, and the gaps
between them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops._cores import TAPS
from smrdsl.ops.contract import Cost, Misfit, Operator, Parameter, Params, State, Streams, need_sequence, way

ONE_AT = {"sigmoid2": 0.0, "tanh1": 0.0, "silu": 1.2784645427610738, "identity": 1.0}
"""Gate -> the bias at which it is 1. The others never are."""


class SmrParams(Params):
    memory: int = Field(default=4, gt=0, description="Number of inputs remembered, the present one included.")
    kernel: int = Field(
        default=1,
        gt=0,
        description="Length in samples of the depthwise gate kernel over the memories' response; 1 is none.",
    )
    gate: Literal["sigmoid2", "tanh1", "sigmoid", "tanh", "silu", "identity"] = Field(
        default="sigmoid2",
        description="Function of the response p: `sigmoid2` is 2 sigmoid(p), `tanh1` 1 + tanh(p), `identity` "
        "p; the others are as they are called.",
    )
    mix: Literal["pointwise"] | None = Field(
        default=None,
        description="`none`: each channel gates itself; `pointwise`: a learned matrix mixes the responses.",
    )
    bias: bool = Field(default=True, description="Whether a learned constant is added in front of the gate.")
    init: Literal["identity", "random"] | None = Field(
        default=None,
        description="`identity`: at first the output is the input; the default where the gate can be 1, "
        "that is sigmoid2, tanh1, and silu and identity with bias. `random`: as a convolution; the default "
        "elsewhere.",
    )
    steps: bool = Field(
        default=False,
        description="Whether memories are counted in steps of time and not in samples; only in timed models.",
    )


def can_be_identity(p: SmrParams) -> bool:
    return p.gate in ONE_AT and (p.bias or ONE_AT[p.gate] == 0.0)


def starts_as_identity(p: SmrParams) -> bool:
    return can_be_identity(p) if p.init is None else p.init == "identity"


def remembered(p: SmrParams) -> int:
    """How many past inputs a step needs."""
    return (p.memory + p.kernel - 2) * (2 if p.steps else 1)


def infer(p: SmrParams, inputs: Streams) -> StreamType:
    need_sequence("smr", inputs[0])
    if p.init == "identity" and not can_be_identity(p):
        why = "never 1" if p.gate not in ONE_AT else "1 only with a bias"
        raise Misfit(
            f"smr(gate={p.gate}): the gate is {why}, so it cannot start as the identity; use init=random or "
            "gate=sigmoid2",
            argument="init",
            code="E0309",
        )
    return inputs[0]


def parameters(p: SmrParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    width = inputs[0].width
    own = {"m": Parameter((width, p.memory))}
    if p.kernel > 1:
        own["w"] = Parameter((width, p.kernel))
    if p.mix:
        own["M"] = Parameter((width, width))
    if p.bias:
        own["b"] = Parameter((width,), decay=False)
    return own


def state(p: SmrParams, inputs: Streams, output: StreamType) -> dict[str, State]:
    own = {"inputs": State((remembered(p), inputs[0].width))}
    if p.steps:
        own["gaps"] = State((max(0, remembered(p) - 1),))
    return own


def cost(p: SmrParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    width = inputs[0].width
    one = 2 * (p.memory + p.kernel - 1) + 6 + (2 * width if p.mix else 0)
    direct = way(strategy)[1] and p.memory + p.kernel - 1 <= TAPS
    kept = 2.5 if p.mix else 0 if direct else 3
    if p.steps:  # samples between samples
        kept = 2 + 5 * (p.memory + p.kernel - 2)
    return Cost(length * width * one, length * width * kept)


OPERATOR = Operator(
    name="smr",
    summary="State Memory Replay: the input times a gate of its own recent past.",
    params=SmrParams,
    infer=infer,
    layer="smrdsl.ops.smr.layer:Smr",
    parameters=parameters,
    state=state,
    cost=cost,
    uses_step=lambda p: p.steps,
    needs_gaps=lambda p: p.steps,
    short_filter=lambda p: "" if p.mix or p.steps else "gated",
    equations="r_t = sum_{j < memory} m_j u_{t - j};  q_t = sum_{k < kernel} w_k r_{t - k}\n"
    "p_t = b + q_t (mix=pointwise: b + M q_t);  y_t = u_t gate(p_t)\n"
    "steps=true: u_{t - j} is the input j steps before sample t, between samples on a straight line",
    source="our reading of Qi et al. 2024, arXiv 2405.17534; the paper's own equation could not be read",
    reference="smrdsl.ops.smr.reference:reference",
    samples=(
        (SmrParams(), (StreamType.real(6),)),
        (SmrParams(memory=3, kernel=4, gate="tanh1", bias=False), (StreamType.real(5),)),
        (SmrParams(memory=9, gate="silu"), (StreamType.real(3),)),
        (SmrParams(memory=2, mix="pointwise", gate="identity"), (StreamType.real(4),)),
        (SmrParams(memory=2, kernel=2, mix="pointwise", bias=False), (StreamType.real(4),)),
        (SmrParams(memory=1, gate="sigmoid"), (StreamType.real(4),)),
        (SmrParams(memory=1, kernel=2, gate="tanh", bias=False, init="random"), (StreamType.real(4),)),
        (SmrParams(memory=4, steps=True), (StreamType.real(4),)),
        (SmrParams(memory=2, kernel=2, mix="pointwise", gate="tanh1", steps=True), (StreamType.real(3),)),
        (SmrParams(memory=1, bias=False, steps=True), (StreamType.real(3),)),
    ),
)
