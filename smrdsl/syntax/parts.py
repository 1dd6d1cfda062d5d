"""parts: what the parser's values carry beside the nodes, and two mistakes that only this shows.

They are arithmetic beside `|>` without parentheses (E0106), since a tree has no parentheses, and
operators nested too deeply (E0107), found before anyone has to walk the tree.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from smrdsl.core.errors import Fix
from smrdsl.core.source import Span
from smrdsl.syntax import tree
from smrdsl.syntax.tokens import Token

MOST_OPERATORS = 200
"""How deep operators, calls and lists may be nested in one expression."""


class TooDeep(Exception):
    """An expression is nested too deeply; `span` is the part that is one level too high."""

    def __init__(self, span: Span) -> None:
        super().__init__("nested too deeply")
        self.span = span


class Part(NamedTuple):
    """An expression, with what its tree does not say.

    `span` takes in its own parentheses, if it is `grouped`.
    """

    node: tree.Expression
    span: Span
    depth: int = 0
    grouped: bool = False


class Given(NamedTuple):
    """An argument, and how deep its value is."""

    node: tree.Argument
    span: Span
    depth: int


class Many(NamedTuple):
    """What stands in a pair of brackets, and how deep the deepest is."""

    items: tuple
    span: Span
    depth: int


class Spanned(Protocol):
    @property
    def span(self) -> Span: ...


Value = tree.Expression | Part


def part(value: Value) -> Part:
    """An expression as a Part; a bare node is one without parts."""
    return value if isinstance(value, Part) else Part(value, value.span)


def bare(value: Value) -> tree.Expression:
    return value.node if isinstance(value, Part) else value


def maybe(value: Value | None) -> tree.Expression | None:
    return None if value is None else bare(value)


def between(first: Spanned, last: Spanned) -> Span:
    """The span from one thing to another."""
    return first.span.to(last.span)


def deeper(span: Span, *depths: int) -> int:
    """The depth of a node whose parts have these depths."""
    depth = 1 + max(depths)
    if depth > MOST_OPERATORS:
        raise TooDeep(span)
    return depth


def listed(opening: Token, parts: tuple) -> Many:
    """What stands behind an opening bracket up to the closing one, without commas."""
    found = [p for p in parts if p is not None and not isinstance(p, Token)]
    depths = [p.depth for p in found if isinstance(p, Part | Given)]
    nodes = tuple(p.node if isinstance(p, Part | Given) else p for p in found)
    return Many(nodes, between(opening, parts[-1]), max(depths, default=0))


def items(many: Many | None) -> tuple:
    return many.items if many else ()


def identifier(token: Token) -> tree.Name:
    return tree.Name(token.text, span=token.span)


def optional(token: Token | None) -> tree.Name | None:
    return identifier(token) if token else None


def not_mixed(stream: Part, sign: Token, target: Part) -> None:
    """Report arithmetic beside `|>` that has no parentheses of its own (E0106)."""
    for side in (stream, target):
        if side.grouped or not isinstance(side.node, tree.Binary | tree.Unary):
            continue
        if sign.reading.sound(between(stream, target)):
            message = f"`|>` and `{side.node.operator}` do not mix without parentheses"
            sign.reading.error("E0106", message, side.span, fix=grouping(stream, side))


def grouping(stream: Part, side: Part) -> Fix:
    """Where parentheses give what was most likely meant."""
    if side is stream:
        return Fix("put the arithmetic in parentheses", side.span, f"({side.span.text})")
    first: tree.Expression = side.node
    while isinstance(first, tree.Binary):
        first = first.left
    if not isinstance(first, tree.Name | tree.Dotted | tree.Call):
        return Fix("put parentheses around what belongs together")
    flow = between(stream, first)
    return Fix("put the flow in parentheses", flow, f"({flow.text})")
