"""What the declarations of cores share: arguments and cost; of S4D and S4 shapes and state too. No operator, no torch.

Such a core is a bank of systems, one per channel. There are `copies` rows of Lambda, B (and P), and channel h has row
h % copies. H is the width, N the state size, of which N/2 complex numbers are stored.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Protocol

from pydantic import AfterValidator, Field

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Cost, Misfit, Parameter, Range, State, Streams, need_sequence, way

STRATEGIES = ("conv", "scan", "recurrent")
MIMO_STRATEGIES = ("scan", "conv", "recurrent")
"""Of systems with many inputs and outputs, whose `scan` is the quickest."""
CHUNK = 64
"""Length of the chunks of `scan`, for its cost; twice that for a sequence that is LONG."""
LONG = 2048
TILE = 64
"""Times from one state that a native kernel keeps to the next."""
TAPS = 8
"""The most taps of a short filter that runs as a native kernel."""
BLOCK = 1 << 19
"""Numbers of a stream that are worked on at once."""


def positive(steps: Range) -> Range:
    if steps.low <= 0:
        raise ValueError(f"a step is above 0, and the range {steps} starts at {steps.low:g}")
    return steps


StateSize = Annotated[
    int,
    Field(
        gt=0,
        multiple_of=2,
        description="N, the size of the state of one channel: N/2 conjugate pairs, so it is even.",
    ),
]
StepRange = Annotated[
    Range,
    AfterValidator(positive),
    Field(description="The steps, one per channel, start log-uniformly in this range; time is in steps of 1."),
]
Copies = Annotated[
    int,
    Field(
        gt=0,
        description="How many independent state matrices there are, shared evenly by the channels: it divides the "
        "width, and `copies=width` gives every channel its own.",
    ),
]
Skip = Annotated[bool, Field(description="Whether a learned multiple of the input, D u, is added to the output.")]
Steps = Annotated[
    Literal["both", "decay"],
    Field(
        description="What the gaps of a timed stream, or a rate, scale: `both`, the decay of the state and the weight "
        "of the sample, for samples of a continuous signal; `decay` alone, for events that weigh the same however "
        "rare.",
    ),
]
Bidirectional = Annotated[
    bool,
    Field(
        description="Whether later samples count too, with a C of their own: the present one counts in the forward "
        "direction only, as published. There is no step then.",
    ),
]


class CoreParams(Protocol):
    """The arguments that the rules below read."""

    @property
    def state(self) -> int: ...
    @property
    def copies(self) -> int: ...
    @property
    def skip(self) -> bool: ...
    @property
    def bidirectional(self) -> bool: ...


def infer(name: str, p: CoreParams, inputs: Streams) -> StreamType:
    """The shape rule: the same width, which the copies divide."""
    need_sequence(name, inputs[0])
    if inputs[0].width % p.copies:
        raise Misfit(
            f"{name}: {p.copies} copies do not share {inputs[0].width} channels evenly; `copies` divides the width",
            argument="copies",
        )
    return inputs[0]


def looks_ahead(p: CoreParams) -> bool:
    return p.bidirectional


def parameters(p: CoreParams, width: int) -> dict[str, Parameter]:
    """Those of a diagonal core. The papers give A, B and the step a learning rate of their own and no weight decay.

    D, a vector of scales, does not decay either, as Mamba has it; S4's own optimiser lets it.
    """
    pairs = (p.copies, p.state // 2)
    both = (2,) if p.bidirectional else ()
    own = {
        "log_dt": Parameter((width,), decay=False, group="ssm"),
        "log_A_real": Parameter(pairs, decay=False, group="ssm"),
        "A_imag": Parameter(pairs, decay=False, group="ssm"),
        "B": Parameter((*pairs, 2), decay=False, group="ssm"),
        "C": Parameter((*both, width, p.state // 2, 2)),
    }
    return own | {"D": Parameter((width,), decay=False)} if p.skip else own


def state(p: CoreParams, inputs: Streams, output: StreamType) -> dict[str, State]:
    """One state per channel, the real parts before the imaginary ones; none where the core runs both ways."""
    return {} if p.bidirectional else {"x": State((inputs[0].width, p.state))}


def cost(p: CoreParams, width: int, length: int, strategy: str, one_step: float) -> Cost:
    """Of a system whose powers are free; `one_step` is the work of x -> A x for one channel."""
    return cost_of(p.state, 2 if p.bidirectional else 1, width, length, strategy, one_step)


def cost_of(
    n: int, ways: int, width: int, length: int, strategy: str, one_step: float, loop: float | None = None
) -> Cost:
    """The same for n real numbers in the state of a channel, in one direction or two.

    `loop` is how many numbers a loop over time keeps at each for a channel. What is kept was fitted to what
    `python -m benchmarks.memory` measures.
    """
    name, native = way(strategy)
    flops, block = bank_flops(n, ways, width, length, name, one_step), 7.0 * BLOCK
    if native and name == "recurrent":
        return Cost(flops, ways * width * length * n / TILE, ways * width * 20 * n)
    if name == "recurrent":
        kept = 2 * n if loop is None else loop
        return Cost(flops, ways * width * length * (1 + kept), ways * width * 20 * n, temporary=2 * width * length)
    if name == "scan":
        chunk = chunk_of(length)
        once = chunk * chunk + n * (145 + 3 * chunk)
        kept = ways * width * length * 3 * n / chunk
        return Cost(flops, kept, ways * width * once, temporary=4 * width * length, most=block)
    once = 4 * length + n * (85 + 4 * math.sqrt(length))
    return Cost(flops, 3 * width * length, ways * width * once, temporary=7 * width * length, most=block)


def bank_flops(n: int, ways: int, width: int, length: int, name: str, one_step: float) -> float:
    """Operations of one sequence."""
    if name == "recurrent":
        return ways * width * length * (one_step + 4 * n)
    if name == "scan":
        chunks = -(-length // CHUNK)
        return ways * (width * length * (2 * CHUNK + 4 * n) + width * chunks * one_step)
    # A real transform of 2 L points is 5 L log2(2 L): one of the input, one back, and one of each kernel.
    transforms = 15 * length * math.log2(max(2, 2 * length)) + 6 * length
    return width * (transforms + ways * 2 * n * length)


def chunk_of(length: int) -> int:
    """How long the chunks of `scan` are."""
    return CHUNK if length < LONG else 2 * CHUNK


def mimo_cost(width: int, stored: int, length: int, strategy: str, ways: int = 1) -> Cost:
    """Of one system for all channels with `stored` complex states: two products, and its modes between them."""
    name, native = way(strategy)
    log = math.log2(max(2, 2 * length))
    products = (1 + ways) * 4 * width * stored * length
    # A real transform of 2 L points is 5 L log2(2 L): of the inputs and the kernel, and one back.
    modes = 2 * stored * (15 * length * log + 12 * length) if name == "conv" else 16 * stored * length
    kept = 2.0 if native and name == "recurrent" else {"conv": 16.0, "scan": 8.0, "recurrent": 6.0}[name]
    used = {"conv": 23.0, "scan": 10.0, "recurrent": 2.0}[name]
    return Cost(
        flops=products + ways * modes,
        activations=length * ways * kept * stored,
        once=10 * width * stored + (15 * length * stored if name == "conv" else 0),
        temporary=length * (2 * width + ways * used * stored),
    )


def varying(p: object) -> dict[str, str]:
    """Why the selective cores have no convolution."""
    return {"conv": "its system changes with its input from sample to sample, and a convolution needs one that stays"}
