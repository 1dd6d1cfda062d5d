"""s5: one diagonal state-space system for all channels, with many inputs and outputs.

    x'(t) = Lambda x(t) + B u(t)        y(t) = 2 Re(C x(t)) + D u(t)

sampled by zero-order hold or the bilinear rule with a step Delta = exp(log_step) of its own for every state. With
conj=true the N states come in conjugate pairs, of which P = N/2 are stored; with conj=false all P = N are, and
y = Re(C x) + D u. Complex numbers are stored as pairs of reals on the last axis.

Lambda starts as J = `blocks` copies of the spectrum of HiPPO-LegS of size N/J without its low-rank part, of which
Re Lambda = -1/2, and V are the eigenvectors to it:

    B            V^-1 B', B' (N, H) real, truncated normal of variance 1 / N
    C            trunc_normal   C' V, both parts of C' (H, N) truncated normal of variance 1 / N
                 lecun_normal   the same of variance 1 / (N H)
                 complex_normal not from V: both parts normal of variance 1 / 2
    D            normal
    log_step     log-uniform

Lambda and the steps are learned freely, and Re Lambda may become positive; `clip` holds it at -1e-4 at most. Run both
ways, both directions count the present sample, and C reads the states of both: columns of the forward ones first. The
step backwards into a sample has the gap after it, and 1 into the last one.

The official `standard` set-up learns Lambda, log_step and B at a rate of their own (group "ssm") without weight decay,
C and D at the regular one with it; here D, a vector of scales, does not decay.

Source: Smith et al. 2023, "Simplified State Space Layers for Sequence Modeling"; lindermanlab/S5, whose "pendulum"
branch has the gaps.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from smrdsl.core.types import StreamType
from smrdsl.ops import _cores as cores
from smrdsl.ops.contract import Cost, Operator, Parameter, Params, Range, State, Streams, always, need_sequence
from smrdsl.ops.s5.timings import TIMINGS


class S5Params(Params):
    state: int = Field(
        default=64, gt=0, description="N, the size of the state that all channels share; even where conj=true."
    )
    blocks: int = Field(
        default=1, gt=0, description="How many copies of a smaller spectrum Lambda starts as; it divides `state`."
    )
    init: Literal["legs"] = Field(default="legs", description="Where Lambda starts: `legs`, the frequencies of HiPPO.")
    c_init: Literal["trunc_normal", "lecun_normal", "complex_normal"] = Field(
        default="trunc_normal",
        description="How C is drawn: `trunc_normal`, and `lecun_normal` smaller, in the basis of HiPPO, or "
        "`complex_normal` in that of the states.",
    )
    disc: Literal["zoh", "bilinear"] = Field(
        default="zoh", description="How it is sampled: `zoh` holds the input between samples, `bilinear` is S4's rule."
    )
    dt: Annotated[
        Range,
        AfterValidator(cores.positive),
        Field(description="The steps, one per state, start log-uniformly in this range; time is in steps of 1."),
    ] = Range(low=0.001, high=0.1)
    conj: bool = Field(
        default=True, description="Whether states come in conjugate pairs, of which one is stored: half the work."
    )
    clip: bool = Field(default=False, description="Whether Re Lambda is held at -1e-4 at most, so that it is stable.")
    skip: cores.Skip = True
    steps: cores.Steps = "both"
    bidirectional: bool = Field(
        default=False,
        description="Whether later samples count too, by a state that runs backwards: the present one counts in both "
        "directions, as published. There is no step then.",
    )

    @model_validator(mode="after")
    def whole_blocks(self) -> S5Params:
        size, rest = divmod(self.state, self.blocks)
        if rest:
            raise ValueError(f"blocks={self.blocks} does not divide state={self.state}")
        if self.conj and size % 2:
            where = f"state={self.state}" if self.blocks == 1 else f"blocks={self.blocks} of {size} states each"
            raise ValueError(f"{where}: conjugate pairs need an even number; make it even, or say conj=false")
        return self

    @property
    def stored(self) -> int:
        """P, how many complex states are stored."""
        return self.state // 2 if self.conj else self.state


def infer(p: S5Params, inputs: Streams) -> StreamType:
    need_sequence("s5", inputs[0])
    return inputs[0]


def parameters(p: S5Params, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    width, stored = inputs[0].width, p.stored
    own = {
        "Lambda_re": Parameter((stored,), decay=False, group="ssm"),
        "Lambda_im": Parameter((stored,), decay=False, group="ssm"),
        "log_step": Parameter((stored,), decay=False, group="ssm"),
        "B": Parameter((stored, width, 2), decay=False, group="ssm"),
        "C": Parameter((width, 2 * stored if p.bidirectional else stored, 2)),
    }
    return own | {"D": Parameter((width,), decay=False)} if p.skip else own


def state(p: S5Params, inputs: Streams, output: StreamType) -> dict[str, State]:
    """One for all channels, the real parts before the imaginary ones; none where it runs both ways."""
    return {} if p.bidirectional else {"x": State((2 * p.stored,))}


def cost(p: S5Params, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    return cores.mimo_cost(inputs[0].width, p.stored, length, strategy, ways=2 if p.bidirectional else 1)


OPERATOR = Operator(
    name="s5",
    summary="State-space core with many inputs and outputs (S5).",
    params=S5Params,
    infer=infer,
    layer="smrdsl.ops.s5.layer:S5",
    parameters=parameters,
    state=state,
    cost=cost,
    looks_ahead=cores.looks_ahead,
    families=("ssm", "mixer"),
    strategies=cores.MIMO_STRATEGIES,
    timings=TIMINGS,
    uses_step=always,
    uses_lengths=cores.looks_ahead,
    equations="x_t = A x_{t-1} + B' u_t;  y_t = 2 Re(C x_t) + D u_t, Re(C x_t) for conj=false\n"
    "zoh: A = e^(Delta Lambda), B' = (e^(Delta Lambda) - 1) / Lambda B\n"
    "bilinear: A = (1 + Delta Lambda / 2) / (1 - Delta Lambda / 2), B' = Delta B / (1 - Delta Lambda / 2)\n"
    "Delta = exp(log_step), Lambda = Lambda_re + i Lambda_im\n"
    "bidirectional: z_t = A z_{t+1} + B' u_t, and C reads [x_t, z_t]",
    source='Smith et al. 2023, "Simplified State Space Layers for Sequence Modeling" (2208.04933)',
    reference="smrdsl.ops.s5.reference:reference",
    samples=(
        (S5Params(state=8), (StreamType.real(6),)),
        (S5Params(state=12, blocks=3, c_init="lecun_normal", disc="bilinear", skip=False), (StreamType.real(4),)),
        (S5Params(state=5, conj=False, c_init="complex_normal", clip=True, steps="decay"), (StreamType.real(3),)),
        (S5Params(state=8, blocks=2, bidirectional=True), (StreamType.real(4),)),
        (
            S5Params(state=6, blocks=2, conj=False, c_init="complex_normal", disc="bilinear", bidirectional=True),
            (StreamType.real(2),),
        ),
        (
            S5Params(state=2, c_init="lecun_normal", steps="decay", disc="bilinear", dt=Range(low=0.1, high=0.1)),
            (StreamType.real(1),),
        ),
    ),
)
