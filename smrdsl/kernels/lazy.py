"""Streams that are not made yet: what is done to them is written down, and done in one pass when they are asked for.

A layer runs on such streams as on tensors. What the native kernel of pointwise operations can do becomes a step of a
program (`native_pointwise.py`); before anything else is done, the numbers that it needs are made. So every layer may be
given them, and gives what it would have given.

    together(lambda x, z: x * F.silu(z), x, z)        one pass over both, and one back
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels.native_pointwise import FUNCTIONS, MOST_STEPS, MOST_STREAMS, can_run, run

Function = Callable[..., Any]


def together(function: Function, *streams: Tensor) -> Tensor:
    """What a function makes of streams of one shape (..., D), with few passes over them."""
    return made(function(*(lazy(x) for x in streams)))


def lazy(x: Any) -> Any:
    """A tensor as a lazy stream, where the kernel may run on it and would be quicker."""
    return Lazy("load", whole=x, shape=x.shape) if isinstance(x, Tensor) and can_run(x) else x


def made(x: Any) -> Any:
    """The tensor that a lazy stream is, at any depth of lists and tuples; all else as it is."""
    if isinstance(x, Lazy):
        return x.tensor()
    return type(x)(map(made, x)) if type(x) in (list, tuple) else x


class Lazy:
    """A step of a program: a function `name` of others, or one of the `parts` of a tensor (..., parts D)."""

    def __init__(
        self,
        name: str,
        *read: Lazy,
        shape: torch.Size,
        number: float | None = None,
        whole: Tensor | None = None,
        part: int = 0,
        parts: int = 1,
    ) -> None:
        self.name, self.read, self.shape, self.number = name, read, shape, number
        self.whole, self.part, self.parts = whole, part, parts

    def tensor(self) -> Tensor:
        """Its numbers, made at most once."""
        if self.whole is None:
            steps = order(self)
            while (last := overflow(steps)) is not None:
                last.tensor()
                steps = order(self)
            self.whole = run(*written(steps))
            self.name, self.read, self.number = "load", (), None
        elif self.parts > 1:
            return self.whole.chunk(self.parts, -1)[self.part]
        return self.whole

    def map(self, name: str, number: float | None = None) -> Lazy:
        return Lazy(name, self, shape=self.shape, number=number)

    def join(self, name: str, other: Any) -> Lazy:
        """With a stream of the same shape or a vector (D); else torch joins them."""
        if isinstance(other, Tensor):
            vector = other.dim() == 1 and other.shape[0] == self.shape[-1]
            other = Lazy("load", whole=other, shape=self.shape) if vector and fitting(other) else lazy(other)
        if isinstance(other, Lazy) and other.shape == self.shape:
            return Lazy(name, self, other, shape=self.shape)
        return lazy(FUNCTIONS[name](self.tensor(), made(other)))

    def __add__(self, other: Any) -> Lazy:
        return self.map("offset", other) if number(other) else self.join("add", other)

    def __sub__(self, other: Any) -> Lazy:
        return self.map("offset", -other) if number(other) else self.join("sub", other)

    def __mul__(self, other: Any) -> Lazy:
        return self.map("scale", other) if number(other) else self.join("mul", other)

    def __truediv__(self, other: Any) -> Lazy:
        return self.map("scale", 1.0 / other) if number(other) and other else lazy(self.tensor() / made(other))

    def __neg__(self) -> Lazy:
        return self.map("scale", -1.0)

    def __rsub__(self, other: Any) -> Lazy:
        return -self + other

    __radd__, __rmul__ = __add__, __mul__

    def square(self) -> Lazy:
        return self.join("mul", self)

    def chunk(self, parts: int, dim: int = 0) -> Sequence[Any]:
        x = self.tensor()
        if dim not in (-1, x.dim() - 1) or x.shape[-1] % parts:
            return [lazy(part) for part in x.chunk(parts, dim)]
        shape = torch.Size((*x.shape[:-1], x.shape[-1] // parts))
        return [Lazy("load", whole=x, shape=shape, part=i, parts=parts) for i in range(parts)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tensor(), name)

    @classmethod
    def __torch_function__(cls, function: Function, types: Any, given: Any = (), named: Any = None) -> Any:
        known = WRITTEN.get(function)
        y = known(*given, **(named or {})) if known else NotImplemented
        if y is NotImplemented:
            y = lazy(function(*made(given), **{key: made(x) for key, x in (named or {}).items()}))
        return y


def on_tensors(name: str) -> Function:
    return lambda x, *others: lazy(getattr(x.tensor(), name)(*made(others)))


for name in "getitem len iter abs pow rpow matmul rmatmul rtruediv lt le gt ge bool float".split():
    setattr(Lazy, f"__{name}__", on_tensors(f"__{name}__"))  # found on the class only, not by `__getattr__`


def number(x: Any) -> bool:
    return isinstance(x, int | float)


def fitting(x: Tensor) -> bool:
    return x.dtype is torch.float32 and x.device.type == "cpu"


# --- programs


def order(last: Lazy) -> list[Lazy]:
    """All steps that a value is made of, each behind those that it reads."""
    steps: dict[int, Lazy] = {}

    def visit(step: Lazy) -> None:
        if id(step) not in steps:
            for x in step.read:
                visit(x)
            steps[id(step)] = step

    visit(last)
    return list(steps.values())


def overflow(steps: Sequence[Lazy]) -> Lazy | None:
    """Where these are more than one program may hold, a step to make before, so that it holds fewer."""
    streams: set[int] = set()
    fits: Lazy | None = None
    for i, step in enumerate(steps):
        if step.name == "load":
            streams.add(id(step.whole))
        if i >= MOST_STEPS or len(streams) > MOST_STREAMS:
            return next(s for s in steps if s.read) if fits is None else fits
        fits = step if step.read else fits
    return None


def written(steps: Sequence[Lazy]) -> tuple[list[Tensor], str]:
    """The streams and the text of a program. Where not all parts of a tensor are read, each is a stream of its own."""
    read = {(id(step.whole), step.part) for step in steps if step.parts > 1}
    streams: dict[tuple[int, int], int] = {}
    given: list[Tensor] = []
    lines: dict[str, int] = {}
    places: dict[int, int] = {}
    for step in steps:
        line = step.name
        if step.whole is not None:
            whole = id(step.whole)
            apart = step.parts > 1 and not all((whole, i) in read for i in range(step.parts))
            key = (whole, step.part if apart else -1)
            if key not in streams:
                streams[key] = len(given)
                given.append(step.tensor() if apart else step.whole)
            line = f"load {streams[key]} {0 if apart else step.part}"
        for x in step.read:
            line += f" {places[id(x)]}"
        if step.number is not None:
            line += f" {float(step.number)!r}"
        places[id(step)] = lines.setdefault(line, len(lines))
    return given, "; ".join(lines)


# --- what is written of torch's functions, where their arguments are such; else NotImplemented


def written_map(name: str) -> Function:
    return lambda x, inplace=False: NotImplemented if inplace else x.map(name)


def silu(x: Lazy, inplace: bool = False) -> Any:
    return NotImplemented if inplace else x * x.map("sigmoid")


def gelu(x: Lazy, approximate: str = "none") -> Any:
    if approximate == "none":
        return x * x.map("normal")
    c = math.sqrt(8.0 / math.pi)
    return x * (x * (x * x * (0.044715 * c) + c)).map("sigmoid")


def erf(x: Lazy) -> Lazy:
    return (x * math.sqrt(2.0)).map("normal") * 2.0 - 1.0


def add(x: Any, y: Any, *, alpha: float = 1.0) -> Any:
    if not isinstance(x, Lazy):
        return NotImplemented
    return x + (y if alpha == 1.0 else y * alpha)


def addcmul(start: Any, x: Any, y: Any) -> Any:
    return x * y + start if isinstance(x, Lazy) else NotImplemented


def dropout(x: Lazy, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    return NotImplemented if inplace or (training and p > 0.0) else x


WRITTEN: dict[Any, Function] = {
    F.silu: silu,
    F.gelu: gelu,
    F.relu: written_map("relu"),
    F.softplus: lambda x: x.map("softplus"),
    F.dropout: dropout,
    torch.sigmoid: lambda x: x.map("sigmoid"),
    torch.tanh: lambda x: x.map("tanh"),
    torch.erf: erf,
    torch.add: add,
    torch.mul: lambda x, y: x * y if isinstance(x, Lazy) else NotImplemented,
    torch.addcmul: addcmul,
}
