"""ema: Mega's damped exponential moving averages, N per channel; with complex=true Megalodon's, which also turn.

    h_t = q h_{t-1} + p beta x_t        y_t = sum_n gamma_n h_{t,n} / sqrt(N) + omega x_t
    p = sigmoid(delta)                  q = 1 - p sigmoid(alpha)

This is the linear part: the SiLU that Mega puts behind it is a step of its own. Every q is between 0 and 1. With
`bidirectional` rows D and on of delta, alpha, beta and gamma are those of a second average that runs backwards, and
both count the present sample, as published.

complex=true, with N complex states per channel, of which y takes the real part:

    h_t = q h_{t-1} + p x_t             y_t = Re sum_n gamma_n h_{t,n} / sqrt(N) + omega x_t
    q_n = (1 - p_n sigmoid(alpha_n)) exp(i n phi),  n = 1 .. N        phi = 2 pi / N sigmoid(theta), one per channel

as in Megalodon's code. Its paper has a beta too and turns the input with the state (p exp(i n phi) beta x_t): the
complex gamma makes up for both. What is delta here is called alpha in that code, and the other way round; Mega's
names are kept, in which p = sigmoid(delta).

    init      complex=false               complex=true
    delta     normal, std 0.2             the same
    alpha     normal, std 0.2             the same
    beta      +1, -1, +1, ... + 0.02 N    none
    theta     none                        sigmoid(theta) = D^(-k / D), k = 1 .. D, shuffled
    gamma     normal                      Re normal, Im 0
    omega     normal                      normal, std 0.25, cut at +-1

The published optimisers decay all of these; here delta, alpha and theta, which say how long the average remembers,
are left out, since decay would draw them to one memory, and omega as every skip. Mega's truncation of the kernel,
which only its parallel form knows, is left out too.

Source: Ma et al. 2023, "Mega: Moving Average Equipped Gated Attention", section 3.1, and facebookresearch/mega; Ma et
al. 2024, "Megalodon", section 3.1, and XuezheMax/megalodon.
"""

from __future__ import annotations

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops import _cores as cores
from smrdsl.ops.contract import Cost, Operator, Parameter, Params, State, Streams, need_sequence
from smrdsl.ops.ema.timings import TIMINGS


class EmaParams(Params):
    state: int = Field(default=16, gt=0, description="N, how many averages each channel has.")
    complex: bool = Field(
        default=False,
        description="Whether the averages are complex numbers that turn while they fade (Megalodon), so that they "
        "swing; if not they only fade (Mega).",
    )
    skip: bool = Field(
        default=True, description="Whether a learned multiple of the input, omega x, is added to the output."
    )
    bidirectional: bool = Field(
        default=False,
        description="Whether later samples count too, by averages of their own: the present one counts in both "
        "directions, as published. There is no step then.",
    )


def infer(p: EmaParams, inputs: Streams) -> StreamType:
    need_sequence("ema", inputs[0])
    return inputs[0]


def looks_ahead(p: EmaParams) -> bool:
    return p.bidirectional


def parameters(p: EmaParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    rows = inputs[0].width * (2 if p.bidirectional else 1)
    own = {name: Parameter((rows, p.state), decay=False) for name in ("delta", "alpha")}
    if p.complex:
        own |= {"theta": Parameter((rows,), decay=False), "gamma": Parameter((rows, p.state, 2))}
    else:
        own |= {"beta": Parameter((rows, p.state)), "gamma": Parameter((rows, p.state))}
    return own | {"omega": Parameter((inputs[0].width,), decay=False)} if p.skip else own


def numbers(p: EmaParams) -> int:
    """How many real numbers the state of one channel has."""
    return 2 * p.state if p.complex else p.state


def state(p: EmaParams, inputs: Streams, output: StreamType) -> dict[str, State]:
    return {} if p.bidirectional else {"h": State((inputs[0].width, numbers(p)))}


def cost(p: EmaParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    n, ways = numbers(p), 2 if p.bidirectional else 1
    kept = 2 * n if p.complex else n
    return cores.cost_of(n, ways, inputs[0].width, length, strategy, one_step=2 * kept, loop=kept)


OPERATOR = Operator(
    name="ema",
    summary="Damped exponential moving averages (Mega), or complex ones (Megalodon).",
    params=EmaParams,
    infer=infer,
    layer="smrdsl.ops.ema.layer:Ema",
    parameters=parameters,
    state=state,
    cost=cost,
    looks_ahead=looks_ahead,
    steady_bank=lambda p: not looks_ahead(p),
    families=("ssm", "mixer"),
    strategies=cores.STRATEGIES,
    timings=TIMINGS,
    uses_lengths=looks_ahead,
    equations="h_t = q h_{t-1} + p beta x_t;  y_t = sum_n gamma_n h_{t,n} / sqrt(N) + omega x_t\n"
    "p = sigmoid(delta), q = 1 - p sigmoid(alpha)\n"
    "complex: h_t = q h_{t-1} + p x_t, y_t takes the real part of the sum\n"
    "q_n = (1 - p sigmoid(alpha)) e^(i n phi), phi = 2 pi / N sigmoid(theta)\n"
    "bidirectional: y_t gains sum_{j >= 0} k'_j x_{t+j}, k' the kernel of rows D ... 2 D - 1",
    source='Ma et al. 2023, "Mega: Moving Average Equipped Gated Attention" (2209.10655); Ma et al. 2024, "Megalodon" '
    "(2404.08801)",
    reference="smrdsl.ops.ema.reference:reference",
    samples=(
        (EmaParams(state=4), (StreamType.real(6),)),
        (EmaParams(state=3, skip=False), (StreamType.real(4),)),
        (EmaParams(state=1, bidirectional=True), (StreamType.real(3),)),
        (EmaParams(state=4, complex=True), (StreamType.real(6),)),
        (EmaParams(state=3, complex=True, bidirectional=True), (StreamType.real(4),)),
        (EmaParams(state=1, complex=True, skip=False), (StreamType.real(1),)),
    ),
)
