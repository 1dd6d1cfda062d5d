"""Values that expressions have while a spec is resolved, and the scopes that hold them.

A value is an int, float, bool, None, str, list or `Range` of Python; a `Word`; a `Stream`; or `POISON`, which stands
for something already reported, so that one mistake gives one diagnostic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smrdsl.core.source import Span
from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Range

if TYPE_CHECKING:
    from smrdsl.spec.units import Unit
    from smrdsl.syntax import tree


@dataclass(frozen=True, slots=True)
class Word:
    """A bare name that nothing defines. Words are equal by name.

    `span` and `scope` are where it was written; None for the value of an operator's argument, seen by an edit.
    """

    id: str
    span: Span | None = field(default=None, compare=False)
    scope: Scope | None = field(default=None, compare=False, repr=False)

    def known(self) -> tuple[str, ...]:
        """The names that were in scope where it was written."""
        return (*self.scope.all_names(), "width") if self.scope else ()


@dataclass(frozen=True, slots=True)
class Stream:
    """The output of a node. `type` is None where a mistake hid it.

    Of a tap, `mirrors` are the directions of `bidirectional` that it was set in, since time runs otherwise in others,
    and `around` counts the regions that it was set in: what stands in more of them reads it from outside.
    """

    key: str
    type: StreamType | None
    mirrors: tuple[str, ...] = ()
    around: int | None = None


LOST = Stream("", None)
"""Stands for the stream behind a mistake."""


class Poison:
    """The one value of this class stands for a mistake that was reported."""

    def __repr__(self) -> str:
        return "POISON"


POISON = Poison()

Value = int | float | bool | None | str | list["Value"] | Range | Word | Stream | Poison


@dataclass(frozen=True, slots=True)
class BodyOf:
    """The block that was given to a component, with the scope and the file it was written in."""

    block: tree.Block
    scope: Scope
    unit: Unit


@dataclass(slots=True)
class Scope:
    """Names and their values; what is not here may be in `outer`. `body` is what `body` stands for."""

    outer: Scope | None = None
    names: dict[str, Value] = field(default_factory=dict)
    body: BodyOf | None = None

    def find(self, name: str) -> Scope | None:
        """The innermost scope that defines `name`."""
        scope: Scope | None = self
        while scope is not None and name not in scope.names:
            scope = scope.outer
        return scope

    def chain(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    def all_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for scope in self.chain() for name in scope.names))

    def given_body(self) -> BodyOf | None:
        return next((s.body for s in self.chain() if s.body is not None), None)

    def inner(self) -> Scope:
        return Scope(self)


def describe(value: Value) -> str:
    """A value in the user's terms, with its kind."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return f"the whole number {value}"
        case float():
            return f"the real number {value!r}"
        case None:
            return "none"
        case str():
            return f'the text "{value}"'
        case list():
            return "a list"
        case Range():
            return f"the range {value}"
        case Word():
            return f"the word `{value.id}`"
        case Stream():
            return "a stream"
    return "a value that could not be found"
