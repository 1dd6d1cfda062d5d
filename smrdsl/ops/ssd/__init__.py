"""ssd, ssd_scan: the state-space core of Mamba-2, one decay per head and time.

    h_t = exp(Delta_t A) h_{t-1} + Delta_t x_t B_t^T        (P, N) per head,  A = -exp(A_log), a number
    y_t = h_t C_t + D x_t
    Delta_t = softplus(delta_t + dt_bias), clamped to `limit`

H heads of P = `head` channels each, H P = ED. B_t and C_t have N numbers for each of G groups: head i reads those of
group i // (H / G). A is sampled by zero-order hold and B by Euler's rule, as published. A gap or a rate g turns Delta_t
into g Delta_t after the clamp, with `steps=decay` in exp(Delta_t A) alone.

`ssd` makes delta_t = W_dt x_t, B_t = W_B x_t and C_t = W_C x_t from its own input, so that they see what stands before
the core, an `smr` placed there too. `ssd_scan` takes them as streams, as Mamba-2's block has them, where they come from
the block's input; what is placed before it changes x alone.

Initial values: A uniform in `a`; Delta at delta = 0 log-uniform in `dt`, at least 1e-4; D = 1; W_B, W_C and W_dt as
torch's Linear. Source: Dao and Gu 2024, "Transformers are SSMs", sections 6 and 7; state-spaces/mamba.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Protocol

from pydantic import AfterValidator, Field

from smrdsl.core.types import StreamType
from smrdsl.ops import _cores as cores
from smrdsl.ops.contract import (
    Cost,
    Misfit,
    Operator,
    Parameter,
    Params,
    Range,
    State,
    Streams,
    always,
    need_sequence,
    way,
)
from smrdsl.ops.ssd import timings

CHUNK = 64
"""Times that `scan` joins in one product."""


def _decays(a: Range) -> Range:
    if a.low <= 0:
        raise ValueError(f"-A is above 0, and the range {a} starts at {a.low:g}")
    return a


def _limits(limit: Range | None) -> Range | None:
    if limit is not None and limit.low < 0:
        raise ValueError(f"a step is never below 0, and the range {limit} starts at {limit.low:g}")
    if limit is not None and limit.high == 0:
        raise ValueError(f"the range {limit} leaves no step above 0, so that nothing would ever enter the state")
    return limit


Head = Annotated[int, Field(gt=0, description="P, the channels of one head; it divides the width.")]
Groups = Annotated[
    int,
    Field(gt=0, description="G, how many B and C there are, each shared by as many heads; it divides their number."),
]
StepRange = Annotated[
    Range,
    AfterValidator(cores.positive),
    Field(description="The steps, one per head, start log-uniformly in this range; time is in steps of 1."),
]
DecayRange = Annotated[
    Range, AfterValidator(_decays), Field(description="-A, one per head, starts uniformly in this range.")
]
Limit = Annotated[
    Range | None,
    AfterValidator(_limits),
    Field(description="The range that steps are clamped to; `none`: they are not."),
]


class ScanParams(Params):
    head: Head = 64
    groups: Groups = 1
    dt: StepRange = Range(low=0.001, high=0.1)
    a: DecayRange = Range(low=1.0, high=16.0)
    limit: Limit = None
    skip: cores.Skip = True
    steps: cores.Steps = "both"


class SsdParams(Params):
    state: int = Field(default=128, gt=0, description="N, the states of one channel.")
    head: Head = 64
    groups: Groups = 1
    dt: StepRange = Range(low=0.001, high=0.1)
    a: DecayRange = Range(low=1.0, high=16.0)
    limit: Limit = None
    skip: cores.Skip = True
    steps: cores.Steps = "both"


class HeadParams(Protocol):
    """The arguments that both operators have and the rules below read."""

    @property
    def head(self) -> int: ...
    @property
    def groups(self) -> int: ...
    @property
    def skip(self) -> bool: ...


# --- shapes


def heads(p: HeadParams, inputs: Streams) -> int:
    """H"""
    return inputs[0].width // p.head


def states(p: SsdParams | ScanParams, inputs: Streams) -> int:
    """N"""
    return p.state if isinstance(p, SsdParams) else inputs[1].width // p.groups


def _check_heads(name: str, p: HeadParams, inputs: Streams) -> None:
    width = inputs[0].width
    if width % p.head:
        message = f"{name}: {width} channels are no whole number of heads of {p.head}; `head` divides the width"
        raise Misfit(message, argument="head")
    if heads(p, inputs) % p.groups:
        message = f"{name}: {p.groups} groups do not share {heads(p, inputs)} heads ({width} / {p.head}) evenly"
        raise Misfit(f"{message}; `groups` divides the number of heads", argument="groups")


def infer(p: SsdParams, inputs: Streams) -> StreamType:
    need_sequence("ssd", inputs[0])
    _check_heads("ssd", p, inputs)
    return inputs[0]


def infer_scan(p: ScanParams, inputs: Streams) -> StreamType:
    for stream in inputs:
        need_sequence("ssd_scan", stream)
    _check_heads("ssd_scan", p, inputs)
    x, b, c, delta = inputs
    if b.width != c.width:
        raise Misfit(f"ssd_scan: b has {b.width} channels and c {c.width}; both have as many, groups * state")
    if b.width % p.groups:
        message = f"ssd_scan: the {b.width} channels of b and c are not divisible by {p.groups} groups"
        raise Misfit(message, argument="groups")
    if delta.width != heads(p, inputs):
        message = f"ssd_scan: delta has {delta.width} channels; it has one for each head, {x.width} / {p.head} = "
        raise Misfit(f"{message}{heads(p, inputs)}", argument="head")
    return x


# --- what is learned and remembered


def parameters_scan(p: HeadParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    each = Parameter((heads(p, inputs),), decay=False)
    return {"dt_bias": each, "A_log": each} | ({"D": each} if p.skip else {})


def parameters(p: SsdParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    rows = Parameter((p.groups * p.state, inputs[0].width))
    maps = {"W_B": rows, "W_C": rows, "W_dt": Parameter((heads(p, inputs), inputs[0].width))}
    return maps | parameters_scan(p, inputs, output)


def state(p: SsdParams | ScanParams, inputs: Streams, output: StreamType) -> dict[str, State]:
    return {"h": State((heads(p, inputs), p.head, states(p, inputs)))}


# --- work


def cost_scan(p: SsdParams | ScanParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    width, n, h = inputs[0].width, states(p, inputs), heads(p, inputs)
    if way(strategy)[0] == "recurrent":
        return Cost(length * 5 * width * n, length * width * (n + 2), temporary=3 * length * width)
    inside = CHUNK * (2 * p.groups * n + 4 * h + 2 * width)
    kept = 3 * width + 3 * h * CHUNK + 2 * width * n / CHUNK
    return Cost(length * (inside + 4 * width * n), length * kept, temporary=5 * length * width)


def cost(p: SsdParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    scan, width = cost_scan(p, inputs, output, length, strategy), inputs[0].width
    rows = 2 * p.groups * p.state + heads(p, inputs)
    made = {"flops": 2 * length * width * rows, "activations": length * rows}
    return replace(scan, **{name: getattr(scan, name) + more for name, more in made.items()})


_EQUATIONS = (
    "Delta_t = softplus(delta_t + dt_bias), clamped to limit;  A = -exp(A_log), one per head\n"
    "h_t = exp(Delta_t A) h_{t-1} + Delta_t x_t B_t^T;  y_t = h_t C_t + D x_t"
)
_SOURCE = 'Dao and Gu 2024, "Transformers are SSMs" (2405.21060), sections 6 and 7; B by Euler\'s rule'


def _streams(width: int, states: int, heads: int) -> Streams:
    return tuple(StreamType.real(w) for w in (width, states, states, heads))


def _measured(width: int, state: float) -> tuple[ScanParams, Streams]:
    p, n = ScanParams(), int(SsdParams().state * state)
    return p, _streams(width, n, width // p.head)


OPERATORS = (
    Operator(
        name="ssd",
        summary="State-space core of Mamba-2 (SSD): heads with one decay each; step, B and C are made from its input.",
        params=SsdParams,
        infer=infer,
        layer="smrdsl.ops.ssd.layer:SSD",
        parameters=parameters,
        state=state,
        cost=cost,
        families=("ssm", "mixer"),
        strategies=("scan", "recurrent"),
        inexact=cores.varying,
        timings=timings.SSD,
        uses_step=always,
        equations=f"delta_t = W_dt x_t;  B_t = W_B x_t;  C_t = W_C x_t\n{_EQUATIONS}",
        source=_SOURCE,
        reference="smrdsl.ops.ssd.reference:reference",
        samples=(
            (SsdParams(state=3, head=2), (StreamType.real(8),)),
            (SsdParams(state=4, head=2, groups=2, skip=False, steps="decay"), (StreamType.real(8),)),
            (SsdParams(state=1, head=6, limit=Range(low=0.01, high=0.5)), (StreamType.real(6),)),
            (
                SsdParams(state=2, head=1, groups=3, dt=Range(low=0.5, high=0.5), a=Range(low=2.0, high=2.0)),
                (StreamType.real(3),),
            ),
        ),
    ),
    Operator(
        name="ssd_scan",
        summary="State-space core of Mamba-2 over streams x, B, C and delta (one channel per head); "
        "what is placed before it changes x alone.",
        params=ScanParams,
        infer=infer_scan,
        layer="smrdsl.ops.ssd.layer:SSDScan",
        parameters=parameters_scan,
        state=state,
        cost=cost_scan,
        streams=("x", "b", "c", "delta"),
        families=("ssm", "mixer"),
        strategies=("scan", "recurrent"),
        inexact=cores.varying,
        timings=timings.SSD_SCAN,
        measured=_measured,
        uses_step=always,
        equations=_EQUATIONS,
        source=_SOURCE,
        reference="smrdsl.ops.ssd.reference:reference_scan",
        samples=(
            (ScanParams(head=2), _streams(8, 3, 4)),
            (ScanParams(head=2, groups=2, skip=False, steps="decay"), _streams(8, 6, 4)),
            (ScanParams(head=3, limit=Range(low=0.01, high=0.5)), _streams(6, 4, 2)),
            (ScanParams(head=1, groups=3, dt=Range(low=0.5, high=0.5), a=Range(low=2.0, high=2.0)), _streams(3, 3, 3)),
        ),
    ),
)
