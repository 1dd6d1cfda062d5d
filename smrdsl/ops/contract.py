"""What an operator is: one object that says everything the rest of the house may know about it.

An operator is one place in this folder: a file, or a folder whose `__init__.py` declares it without torch, with
`layer.py` (how it computes: parallel, chunked and step) and, where the layer is not its own definition, `reference.py`
(the slow one) beside it. The place holds an `OPERATOR`, or `OPERATORS` for a table of them; `registry.py` finds it.

    infer       the shape rule; raises `Misfit` with a reason in the user's words
    parameters  name -> shape and treatment of what is learned, known before anything is allocated
    state       name -> shape of what a step remembers, batch axis left out
    cost        work and memory of one sequence of a given length, per strategy (`cost.py`)
    layer       "module:Class", imported when a model is built
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from smrdsl.core.types import StreamType
from smrdsl.ops.cost import Cost as Cost
from smrdsl.ops.cost import Streams as Streams
from smrdsl.ops.cost import Timing as Timing
from smrdsl.ops.cost import elements as elements
from smrdsl.ops.cost import keeping as keeping
from smrdsl.ops.cost import pointwise_cost as pointwise_cost
from smrdsl.ops.cost import positions as positions
from smrdsl.ops.cost import way as way


class Misfit(Exception):
    """The operator cannot stand here: its streams or arguments do not fit. The message is for the user."""

    def __init__(self, message: str, *, argument: str | None = None, code: str = "E0402") -> None:
        super().__init__(message)
        self.argument = argument
        self.code = code


class Params(BaseModel):
    """The arguments of an operator, in their positional order. Descriptions of the fields are the manual."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Range(BaseModel):
    """`low..high`"""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)
    low: float
    high: float

    @model_validator(mode="after")
    def ordered(self) -> Range:
        if not self.low <= self.high:
            raise ValueError(f"the range runs backwards: {self.low:g} is above {self.high:g}")
        return self

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}"


@dataclass(frozen=True, slots=True)
class Family:
    """Marks a `str` argument that takes the name of any operator of a family: `Annotated[str, Family("act")]`."""

    name: str


@dataclass(frozen=True, slots=True)
class LabelOf:
    """Marks a `str | None` argument that takes the label of another step, with which it shares parameters: those that
    the operator declares without the argument, and not with it. The layer takes them after its streams."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A learned tensor. `decay` says whether weight decay applies, `group` names the papers' optimiser group."""

    shape: tuple[int, ...]
    decay: bool = True
    group: str = "regular"

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class State:
    """A tensor that a step remembers, without its batch axis. A dim "T" grows with the stream. `index` is int64."""

    shape: tuple[int | str, ...]
    index: bool = False


def no_parameters(p: Any, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    return {}


def no_state(p: Any, inputs: Streams, output: StreamType) -> dict[str, State]:
    return {}


def never(p: Any) -> bool:
    return False


def always(p: Any) -> bool:
    return True


def no_reason(p: Any) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator of the language. Its state and whether it looks ahead follow from its arguments."""

    name: str
    summary: str
    params: type[Params]
    infer: Callable[[Any, Streams], StreamType]
    layer: str | Callable[[], Any]
    """Its class as "module:Class", or a function that returns it; "" for inputs, which have none."""
    parameters: Callable[[Any, Streams, StreamType], Mapping[str, Parameter]] = no_parameters
    state: Callable[[Any, Streams, StreamType], Mapping[str, State]] = no_state
    cost: Callable[[Any, Streams, StreamType, int, str], Cost] = pointwise_cost
    looks_ahead: Callable[[Any], bool] = never
    """Whether the output at a time depends on later inputs, so that there is no step."""
    why_ahead: Callable[[Any], str] = no_reason
    """In a few words, why it looks ahead, where that cannot be seen from how it is written."""
    streams: tuple[str, ...] = ("x",)
    """Names of the inputs, in order; a last "..." stands for any number of further ones."""
    families: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    """Ways to execute a whole sequence, for `execute` and the plan; every one is exact."""
    inexact: Callable[[Any], Mapping[str, str]] = lambda p: {}
    """Strategy that it does not have with these arguments -> why that would not be exact, for who asks for it."""
    timings: Mapping[str, tuple[Timing, ...]] = field(default_factory=dict)
    """Strategy -> what it took, at several lengths (`python -m benchmarks.strategies` prints the table).

    By a native kernel it is called `STRATEGY+native`, with gaps `...+timed`, from a state on `...+state`.
    """
    measured: Callable[[int, float], tuple[Params, Streams]] | None = None
    """A width and how many times the usual state -> arguments and streams that it is measured with, where those are not
    the default arguments, with another `state`, on one stream."""
    uses_step: Callable[[Any], bool] = never
    """Whether it minds the sampling step: its layer takes the keywords `rate` and `dt`."""
    needs_gaps: Callable[[Any], bool] = never
    """Whether it can stand only where there are gaps, in timed models."""
    uses_lengths: Callable[[Any], bool] = never
    """Whether padding behind the end of a sequence could reach its output (what looks ahead, pools or takes statistics
    over time): then `forward` takes the keyword `lengths` (B), and leaves what each sequence alone would give."""
    identity: Callable[[Any], bool] = never
    """Whether its output is its input, always, so that a pass may drop it."""
    channel_map: Callable[[Any], str] = no_reason
    """"dense" or "diagonal" where, in evaluation, it is such a map of the channels at each position: its layer's
    `channel_map()` gives the weight, (width, input width) or of each channel, and the bias, or None just now."""
    steady_bank: Callable[[Any], bool] = never
    """Whether it runs one steady system a channel, ahead in time: its layer's `bank()` gives them (kernels/core.py)."""
    short_filter: Callable[[Any], str] = no_reason
    """`plain` where it convolves each channel with its own last inputs, which are its state; `gated` where it gates the
    channel by that. Its layer's `short_filter()` gives it (`kernels/native_taps.py`)."""
    ends_filter: Callable[[Any], str] = no_reason
    """What a native short filter that ends with this activation calls it (`kernels/native_taps.py`)."""
    learns_forward: Callable[[Any], bool] = never
    """Whether a forward pass in training changes what it holds, as running statistics: it must not be run twice."""
    pointwise: Callable[[Any], str] = no_reason
    """`one` where it is one operation on the single numbers of its inputs, `some` where it is several, one after the
    other; `end` where it is several behind work of another kind; else nothing. All inputs then have one shape."""
    adds: Callable[[Any], bool] = never
    """Whether its output is the sum of its inputs."""
    joins_pair: bool = False
    """Whether it makes one of the two of a pair. Any other operator sees single sequences, and runs on both of them."""
    reverses: bool = False
    """Whether it turns time round, for what reads it: its layer has `clock(dt, lengths)`, the gaps there."""
    structural: bool = False
    """Made by a construct of the language (`residual`, arithmetic), not written as a step."""
    source: str = ""
    equations: str = ""
    reference: str | None = None
    samples: tuple[tuple[Params, Streams], ...] = ()
    """Arguments and input types that the contract tests run over."""

    def __reduce__(self) -> tuple[Callable[[str], Operator], tuple[str]]:
        """By its name: what holds an operator can be sent to another process, which has it too."""
        return _known, (self.name,)

    @property
    def can_use_step(self) -> bool:
        """Whether some of its samples mind the sampling step."""
        return any(self.uses_step(p) for p, _ in self.samples)

    def ways(self, p: Any) -> tuple[str, ...]:
        """Its strategies with these arguments."""
        return tuple(s for s in self.strategies if s not in self.inexact(p))

    def measured_with(self, width: int, state: float = 1.0) -> tuple[Params, Streams]:
        """The arguments and streams of its timings, at a width and so many times the usual state."""
        if self.measured is not None:
            return self.measured(width, state)
        p = self.params()
        if state != 1.0 and "state" in self.params.model_fields:
            p = p.model_copy(update={"state": int(p.state * state)})  # type: ignore[attr-defined]
        return p, (StreamType.real(width),)

    def load_layer(self) -> Any:
        """The layer's class; imports torch."""
        return load(self.layer) if isinstance(self.layer, str) else self.layer()

    def load_reference(self) -> Any:
        """The slow definition, a function of (layer, *streams) in float64; None where the layer is its own."""
        return load(self.reference) if self.reference else None


def _known(name: str) -> Operator:
    from smrdsl.ops.registry import operators

    return operators()[name]


def load(target: str) -> Any:
    """The object at "module:name"."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def seen(op: Operator, inputs: Streams) -> Streams:
    """The types of its inputs as an operator sees them: a pair is two single sequences to all but what joins it."""
    return inputs if op.joins_pair else tuple(s.single() for s in inputs)


def inferred(op: Operator, params: Params, inputs: Streams) -> StreamType:
    """The type that an operator's shape rule gives, of a pair where its inputs are pairs. Raises `Misfit`."""
    paired = {s.paired for s in inputs}
    if len(paired) > 1:
        raise Misfit(f"{op.name}: one stream is of pairs, another was joined by `match`", code="E0401")
    output = op.infer(params, seen(op, inputs))
    return output.pair() if paired == {True} and not op.joins_pair else output


@cache
def _ties(params: type[Params]) -> tuple[str, ...]:
    return tuple(n for n, f in params.model_fields.items() if any(isinstance(m, LabelOf) for m in f.metadata))


def tie_of(p: Params) -> tuple[str, str] | None:
    """The argument by which a step shares what another learns, and the label in it."""
    return next(((name, label) for name in _ties(type(p)) if (label := getattr(p, name)) is not None), None)


def shared(op: Operator, p: Params, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    """What a step shares with the one that it is tied to, by its names there, in the order of its own declaration."""
    tie = tie_of(p)
    if tie is None:
        return {}
    own = op.parameters(p, inputs, output)
    alone = op.parameters(p.model_copy(update={tie[0]: None}), inputs, output)
    return {name: parameter for name, parameter in alone.items() if name not in own}


def need_sequence(name: str, stream: StreamType) -> None:
    """Raise unless the stream is a sequence of reals."""
    if stream.kind == "index":
        raise Misfit(f"{name}: tokens have no channels; put `embed(width)` before it", code="E0401")
    if not stream.timed:
        raise Misfit(f"{name}: the stream was pooled, (batch, {stream.width}), and has no time axis", code="E0401")


def need_real(name: str, stream: StreamType) -> None:
    """Raise unless the stream holds reals, pooled or not."""
    if stream.kind == "index":
        raise Misfit(f"{name}: tokens have no channels; put `embed(width)` before it", code="E0401")
