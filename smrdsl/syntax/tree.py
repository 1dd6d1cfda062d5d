"""The syntax tree of a `.smr` file: one frozen class for each rule of the grammar.

`span` is where a node was written; it takes no part in comparing, so that two texts with the same
meaning have equal trees. Every class is final. Statements stand in blocks, expressions everywhere
else.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from smrdsl.core.source import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What every node has."""

    span: Span = field(compare=False, repr=False)


# --- expressions: numbers, words, streams


@dataclass(frozen=True, slots=True)
class Number(Node):
    """`64`, `50_257`, `0.1`, `1e-3`: an int, or a float where it was written with a point or an exponent."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Text(Node):
    """`"..."`"""

    value: str


@dataclass(frozen=True, slots=True)
class Constant(Node):
    """`true`, `false`, `none`"""

    value: bool | None


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A bare name: a parameter, let, index, tap, or a word."""

    id: str

    @property
    def spelled(self) -> str:
        """The name as it is written."""
        return self.id


@dataclass(frozen=True, slots=True)
class Dotted(Node):
    """`x.width`, `zoo.block`"""

    base: str
    attribute: str

    @property
    def spelled(self) -> str:
        """The name as it is written."""
        return f"{self.base}.{self.attribute}"


@dataclass(frozen=True, slots=True)
class It(Node):
    """`it`, the current stream."""


@dataclass(frozen=True, slots=True)
class Listing(Node):
    """`[1, 2]`"""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Range(Node):
    """`0.001..0.1`"""

    low: Expression
    high: Expression


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`-x`, `not x`; the operator is its text."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """`a + b` and its kin: `+ - * / // % ** == != < <= > >= and or`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Argument(Node):
    """`64` or `state=64` in the parentheses of a call."""

    name: str | None
    value: Expression


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`min(a, b)` in an expression, `attend(q, k, v, heads=4)` in a flow."""

    callee: Name | Dotted
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Pipe(Node):
    """`flow |> op(...)`.

    The grammar allows any expression on the right; the checker wants a name or a call.
    """

    stream: Expression
    target: Expression


Expression = Number | Text | Constant | Name | Dotted | It | Listing | Range | Unary | Binary | Call | Pipe


# --- statements


@dataclass(frozen=True, slots=True)
class Block(Node):
    """`{ ... }`"""

    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Let(Node):
    """`let name = value`"""

    name: Name
    value: Expression


@dataclass(frozen=True, slots=True)
class Require(Node):
    """`require condition, "message"`"""

    condition: Expression
    message: Text


@dataclass(frozen=True, slots=True)
class Tap(Node):
    """`name := flow`"""

    name: Name
    flow: Expression


@dataclass(frozen=True, slots=True)
class SetIt(Node):
    """`it := flow`"""

    flow: Expression


@dataclass(frozen=True, slots=True)
class Step(Node):
    """`label: callee(arguments) { body }`: an operator, a component or a combinator."""

    label: Name | None
    callee: Name | Dotted
    arguments: tuple[Argument, ...]
    body: Block | None


@dataclass(frozen=True, slots=True)
class Branch(Node):
    """`branch { ... }`, only directly in the block of `parallel`."""

    block: Block


@dataclass(frozen=True, slots=True)
class Repeat(Node):
    """`label: repeat count as index { ... }`"""

    label: Name | None
    count: Expression
    index: Name | None
    block: Block


@dataclass(frozen=True, slots=True)
class Arm(Node):
    """`when condition { ... }`; the condition of an `else` is None."""

    condition: Expression | None
    block: Block


@dataclass(frozen=True, slots=True)
class When(Node):
    """`label: when ... else when ... else ...`: the arms in the order written."""

    label: Name | None
    arms: tuple[Arm, ...]


@dataclass(frozen=True, slots=True)
class Body(Node):
    """`label: body`, where a component puts the block it was given."""

    label: Name | None


@dataclass(frozen=True, slots=True)
class Selector(Node):
    """What an edit selects: `s4`, `mix`, `ssm`, `zoo.block`."""

    name: str


@dataclass(frozen=True, slots=True)
class Place(Node):
    """`place op(...) before selector where condition`; `side` is `before` or `after`."""

    step: Step
    side: str
    selector: Selector
    condition: Expression | None


@dataclass(frozen=True, slots=True)
class Replace(Node):
    """`replace selector with op(...) where condition`"""

    selector: Selector
    step: Step
    condition: Expression | None


@dataclass(frozen=True, slots=True)
class Remove(Node):
    """`remove selector where condition`"""

    selector: Selector
    condition: Expression | None


@dataclass(frozen=True, slots=True)
class Execute(Node):
    """`execute selector as strategy where condition`"""

    selector: Selector
    strategy: Name
    condition: Expression | None


Edit = Place | Replace | Remove | Execute
Statement = Let | Require | Tap | SetIt | Step | Branch | Repeat | When | Body | Edit


# --- a file


@dataclass(frozen=True, slots=True)
class Import(Node):
    """`import "path.smr" as alias`"""

    path: Text
    alias: Name | None


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """`name` or `name = default` in the head of a component or model."""

    name: Name
    default: Expression | None


@dataclass(frozen=True, slots=True)
class Component(Node):
    """`component name(parameters) { ... }`"""

    name: Name
    parameters: tuple[Parameter, ...]
    block: Block


@dataclass(frozen=True, slots=True)
class Model(Node):
    """`model name(parameters) extends base(arguments) { ... }`

    No parameter list is None, an empty one is (); without a base they mean the same, and are None.
    """

    name: Name
    parameters: tuple[Parameter, ...] | None
    base: Name | Dotted | None
    arguments: tuple[Argument, ...]
    block: Block


@dataclass(frozen=True, slots=True)
class File(Node):
    """A whole file: its items in the order written."""

    items: tuple[Import | Let | Component | Model, ...]
