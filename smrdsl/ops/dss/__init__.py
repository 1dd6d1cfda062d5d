"""dss: diagonal state spaces, whose N complex modes Lambda are shared by all channels and stored without conjugates.

    k_l = Re sum_n W_n (e^{Delta Lambda_n} - 1) / Lambda_n e^{l Delta Lambda_n}         form=exp, clip
    k_l = Re sum_n W_n / Lambda_n e^{l Delta Lambda_n} / sum_{j < L} e^{j Delta Lambda_n}           form=softmax
    y_t = sum_j k_j u_{t-j} + D u_t

W is C times B, one number per channel and mode; Delta = exp(log_dt), one per channel. The first two forms are systems
sampled by zero-order hold, so they have a state: N complex numbers per channel. The third is normalised over the length
L, and its kernel differs with L: every output depends on how many samples follow, and there is neither a state nor a
step, and it always runs by convolution. In a padded batch each sequence has the kernel of its own length.

    form     Lambda
    exp      -exp(Lambda_log_neg_re) + i Lambda_im
    clip     min(Re, -1e-4) + i Im, of the stored Lambda
    softmax  as stored; Re may be above 0

`state` is N, the number of complex modes: no conjugate halves are left out, so it may be odd. Lambda starts with the N
positive frequencies of HiPPO-LegS of size 2 N, largest first, and Re = -1/2; W and D are normal, also in each part.

Source: Gupta et al. 2022, "Diagonal State Spaces are as Effective as Structured State Spaces", proposition 1,
and ag1988/dss, which differs so: its clip lets Re be up to +1e-4, where a long stream grows without bound; it may learn
a Delta of its own for the imaginary part (sep_dt_re_im); it adds 1e-7 to the squares of denominators, which is seen at
short lengths, where here only denominators below that are bounded.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from smrdsl.core.types import StreamType
from smrdsl.ops import _cores as cores
from smrdsl.ops.contract import Cost, Operator, Parameter, Params, Range, State, Streams, need_sequence
from smrdsl.ops.dss.timings import TIMINGS


class DssParams(Params):
    state: int = Field(
        default=64,
        gt=0,
        description="N, how many complex modes there are. They are stored in full, without conjugates, so it may be "
        "odd, and a state holds 2 N numbers.",
    )
    form: Literal["exp", "clip", "softmax"] = Field(
        default="exp",
        description="How the kernel is kept from growing: `exp` and `clip` bound the real part of Lambda; `softmax` "
        "divides every mode by its sum over the sequence, so that the kernel depends on the length and there is no "
        "step.",
    )
    dt: cores.StepRange = Range(low=0.001, high=0.1)
    skip: cores.Skip = True
    steps: cores.Steps = "both"
    bidirectional: bool = Field(
        default=False,
        description="Whether later samples count too, with a W of their own: the present one counts in the forward "
        "direction only, as published. There is no step then.",
    )

    @model_validator(mode="after")
    def steps_need_a_step(self) -> DssParams:
        if self.form == "softmax" and self.steps != "both":
            raise ValueError(
                "form=softmax is normalised over the length and minds no gaps: leave `steps` out, or write form=exp"
            )
        return self


def infer(p: DssParams, inputs: Streams) -> StreamType:
    need_sequence("dss", inputs[0])
    return inputs[0]


def has_step(p: DssParams) -> bool:
    """Whether the kernel is that of a system that is sampled, whatever the length."""
    return p.form != "softmax"


def inexact(p: DssParams) -> dict[str, str]:
    why = "with form=softmax its kernel depends on the length, and is that of no recurrence"
    return {} if has_step(p) else dict.fromkeys(("scan", "recurrent"), why)


def looks_ahead(p: DssParams) -> bool:
    return p.bidirectional or p.form == "softmax"


def why_ahead(p: DssParams) -> str:
    return "" if has_step(p) else "its kernel depends on the length of the sequence"


def parameters(p: DssParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    """The published optimiser gives the step, Lambda and W a learning rate of their own and no weight decay."""
    width, both = inputs[0].width, (2,) if p.bidirectional else ()
    shapes: dict[str, tuple[int, ...]] = {"log_dt": (width,)}
    if p.form == "exp":
        shapes |= {"Lambda_log_neg_re": (p.state,), "Lambda_im": (p.state,)}
    else:
        shapes |= {"Lambda": (p.state, 2)}
    shapes |= {"W": (*both, width, p.state, 2)}
    own = {name: Parameter(shape, decay=False, group="ssm") for name, shape in shapes.items()}
    return own | {"D": Parameter((width,), decay=False)} if p.skip else own


def state(p: DssParams, inputs: Streams, output: StreamType) -> dict[str, State]:
    """The real parts before the imaginary ones; none where later samples or their number count."""
    return {} if looks_ahead(p) else {"x": State((inputs[0].width, 2 * p.state))}


def cost(p: DssParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    """The softmax runs by convolution only, and its kernels are read twice: what fades, and what grows."""
    ways = 2 if p.bidirectional else 1
    if not has_step(p):
        ways, strategy = 2 * ways, "conv"
    return cores.cost_of(2 * p.state, ways, inputs[0].width, length, strategy, one_step=4 * p.state)


OPERATOR = Operator(
    name="dss",
    summary="Diagonal state-space core with modes shared by all channels (DSS).",
    params=DssParams,
    infer=infer,
    layer="smrdsl.ops.dss.layer:Dss",
    parameters=parameters,
    state=state,
    cost=cost,
    looks_ahead=looks_ahead,
    steady_bank=lambda p: not looks_ahead(p),
    why_ahead=why_ahead,
    families=("ssm", "mixer"),
    strategies=cores.STRATEGIES,
    inexact=inexact,
    timings=TIMINGS,
    uses_step=has_step,
    uses_lengths=looks_ahead,
    equations="x_t = e^(Delta Lambda) x_{t-1} + (e^(Delta Lambda) - 1) / Lambda u_t;  y_t = Re(W x_t) + D u_t\n"
    "exp: Lambda = -e^Lambda_log_neg_re + i Lambda_im;  clip: Re Lambda <= -1e-4\n"
    "softmax: k_l = Re sum_n W / Lambda e^(l Delta Lambda) / Z,  Z = sum_{j < L} e^(j Delta Lambda)\n"
    "Delta = exp(log_dt)\n"
    "bidirectional: y_t gains sum_{j >= 0} k'_j u_{t+1+j}, k' the kernel of the second W",
    source='Gupta et al. 2022, "Diagonal State Spaces are as Effective as Structured State Spaces" (2203.14343)',
    reference="smrdsl.ops.dss.reference:reference",
    samples=(
        (DssParams(state=4), (StreamType.real(6),)),
        (DssParams(state=3, form="clip", steps="decay", skip=False), (StreamType.real(4),)),
        (DssParams(state=3, form="softmax", dt=Range(low=0.01, high=0.5)), (StreamType.real(4),)),
        (DssParams(state=1, bidirectional=True, dt=Range(low=0.1, high=0.1)), (StreamType.real(3),)),
        (DssParams(state=2, form="softmax", bidirectional=True, skip=False), (StreamType.real(2),)),
    ),
)
