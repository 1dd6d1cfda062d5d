"""Build: the tree's nodes, made while the parser finds them. One method for each rule of the grammar.

Tokens keep their places in a rule, so a method's parameters read like its rule; a part that may be missing is None.
An expression with parts travels as a `Part` until a statement takes it, because two mistakes are seen only here:
arithmetic beside `|>` without parentheses, and operators nested too deeply for those who walk the tree later.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from lark import Transformer, v_args

from smrdsl.core.errors import Fix
from smrdsl.core.source import Span
from smrdsl.syntax import tree
from smrdsl.syntax.tokens import Token

MOST_OPERATORS = 200
"""How deep operators, calls and lists may be nested in one expression."""


class TooDeep(Exception):
    """An expression is nested too deeply; `span` is the part that is one too many."""

    def __init__(self, span: Span) -> None:
        super().__init__("nested too deeply")
        self.span = span


class Part(NamedTuple):
    """An expression, or argument, with what its tree does not say: `span` takes in its own parentheses."""

    node: tree.Node
    span: Span
    depth: int = 0
    grouped: bool = False


class Many(NamedTuple):
    """What stands in a pair of brackets, and the deepest nesting in it."""

    items: tuple
    span: Span
    depth: int = 0


Value = tree.Node | Part


def part(value: Value) -> Part:
    return value if isinstance(value, Part) else Part(value, value.span)


def node(value):
    """The bare node of an expression, or None of nothing."""
    return value.node if isinstance(value, Part) else value


def between(first, last) -> Span:
    """The span from one thing to another."""
    return first.span.to(last.span)


def deeper(span: Span, *depths: int) -> int:
    """The depth of a node that has parts of these depths."""
    depth = 1 + max(depths, default=0)
    if depth > MOST_OPERATORS:
        raise TooDeep(span)
    return depth


def listed(parts: tuple, opening: Token, closing: Token) -> Many:
    """The items between two brackets; commas and empty places are not of interest."""
    values = [part(p) for p in parts if p is not None and not isinstance(p, Token)]
    span = between(opening, closing)
    return Many(tuple(v.node for v in values), span, max((v.depth for v in values), default=0))


def identifier(token: Token) -> tree.Name:
    return tree.Name(token.text, span=token.span)


def last(*parts):
    """The last part that is there."""
    return next(p for p in reversed(parts) if p is not None)


def items(many: Many | None) -> tuple:
    return many.items if many else ()


@v_args(inline=True)
class Build(Transformer):
    """What the parser calls for each rule that it finds."""

    # --- a file

    def file(self, *items):
        return items

    def steps(self, *statements):
        return statements

    def bring(self, keyword, path, word, alias):
        span = between(keyword, alias or path)
        return tree.Import(self.text(path), alias and identifier(alias), span=span)

    def component(self, keyword, name, parameters, block):
        return tree.Component(identifier(name), items(parameters), block, span=between(keyword, block))

    def model(self, keyword, name, parameters, extends, base, arguments, block):
        # Without a base, `()` and nothing mean the same.
        given = parameters.items if parameters and (base or parameters.items) else None
        span = between(keyword, block)
        return tree.Model(identifier(name), given, base, items(arguments), block, span=span)

    def parameters(self, opening, *parts):
        return listed(parts, opening, parts[-1])

    def parameter(self, name, equals, default):
        return tree.Parameter(identifier(name), node(default), span=between(name, default or name))

    # --- blocks

    def block(self, opening, *parts):
        *statements, closing = parts
        span = between(opening, closing)
        if not statements and opening.reading.sound(span):
            fix = Fix("write `skip` for a block that does nothing", span, "{ skip }")
            opening.reading.error("E0105", "this block is empty", span, fix=fix)
        return tree.Block(tuple(statements), span=span)

    def let(self, keyword, name, equals, value):
        return tree.Let(identifier(name), node(value), span=between(keyword, value))

    def require(self, keyword, condition, comma, message):
        return tree.Require(node(condition), self.text(message), span=between(keyword, message))

    def tap(self, name, becomes, flow):
        return tree.Tap(identifier(name), node(flow), span=between(name, flow))

    def set_it(self, it, becomes, flow):
        return tree.SetIt(node(flow), span=between(it, flow))

    def step(self, label, callee, arguments, block=None):
        span = between(label or callee, last(callee, arguments, block))
        return tree.Step(label, callee, items(arguments), block, span=span)

    def branch(self, keyword, block):
        return tree.Branch(block, span=between(keyword, block))

    def repeat(self, label, keyword, count, word, index, block):
        span = between(label or keyword, block)
        return tree.Repeat(label, node(count), index and identifier(index), block, span=span)

    def when(self, label, *parts):
        arms = tuple(p for p in parts if isinstance(p, tree.Arm))
        return tree.When(label, arms, span=between(label or arms[0], arms[-1]))

    def arm(self, *parts):
        *head, block = parts
        condition = node(head[1]) if head else None
        return tree.Arm(condition, block, span=between(parts[0], block))

    def body(self, label, keyword):
        return tree.Body(label, span=between(label or keyword, keyword))

    def label(self, name, colon):
        return identifier(name)

    # --- edits

    def place(self, keyword, step, side, selector, where):
        span = between(keyword, where or selector)
        return tree.Place(step, side.text, selector, node(where), span=span)

    def replace(self, keyword, selector, word, step, where):
        return tree.Replace(selector, step, node(where), span=between(keyword, where or step))

    def remove(self, keyword, selector, where):
        return tree.Remove(selector, node(where), span=between(keyword, where or selector))

    def execute(self, keyword, selector, word, strategy, where):
        span = between(keyword, where or strategy)
        return tree.Execute(selector, identifier(strategy), node(where), span=span)

    def selector(self, name, dot, attribute):
        text = f"{name.text}.{attribute.text}" if dot else name.text
        return tree.Selector(text, span=between(name, attribute or name))

    def where(self, keyword, condition):
        return Part(node(condition), between(keyword, condition))

    # --- values

    def arguments(self, opening, *parts):
        return listed(parts, opening, parts[-1])

    def argument(self, name, equals, value):
        value = part(value)
        span = between(name or value, value)
        return Part(tree.Argument(name and name.text, value.node, span=span), span, value.depth)

    def range(self, low, dots, high):
        low, high = part(low), part(high)
        span = between(low, high)
        return Part(tree.Range(low.node, high.node, span=span), span, max(low.depth, high.depth))

    def pipe(self, stream, pipe, target):
        stream, target = part(stream), part(target)
        span = between(stream, target)
        mixed(stream, target, span, pipe)
        depth = deeper(span, stream.depth, target.depth)
        return Part(tree.Pipe(stream.node, target.node, span=span), span, depth)

    def binary(self, left, operator, right):
        left, right = part(left), part(right)
        span = between(left, right)
        depth = deeper(span, left.depth, right.depth)
        return Part(tree.Binary(operator.text, left.node, right.node, span=span), span, depth)

    def unary(self, operator, operand):
        operand = part(operand)
        span = between(operator, operand)
        depth = deeper(span, operand.depth)
        return Part(tree.Unary(operator.text, operand.node, span=span), span, depth)

    def group(self, opening, value, closing):
        value = part(value)
        return Part(value.node, between(opening, closing), value.depth, grouped=True)

    def listing(self, opening, *parts):
        many = listed(parts, opening, parts[-1])
        return Part(tree.Listing(many.items, span=many.span), many.span, deeper(many.span, many.depth))

    def call(self, callee, arguments):
        span = between(callee, arguments)
        return Part(tree.Call(callee, arguments.items, span=span), span, deeper(span, arguments.depth))

    def number(self, token):
        whole = token.text.replace("_", "").isdecimal()
        return tree.Number(int(token.text) if whole else float(token.text), span=token.span)

    def text(self, token):
        return tree.Text(json.loads(token.text, strict=False), span=token.span)

    def constant(self, token):
        return tree.Constant({"true": True, "false": False, "none": None}[token.text], span=token.span)

    def it(self, token):
        return tree.It(span=token.span)

    def name(self, token):
        return identifier(token)

    def dotted(self, base, dot, attribute):
        return tree.Dotted(base.text, attribute.text, span=between(base, attribute))


def mixed(stream: Part, target: Part, span: Span, pipe: Token) -> None:
    """Report arithmetic beside `|>` that has no parentheses of its own."""
    for side in (stream, target):
        if side.grouped or not isinstance(side.node, tree.Binary | tree.Unary):
            continue
        if pipe.reading.sound(span):
            message = f"`|>` and `{side.node.operator}` do not mix without parentheses"
            pipe.reading.error("E0106", message, side.span, fix=parentheses(stream, target, side))


def parentheses(stream: Part, target: Part, side: Part) -> Fix:
    """Where parentheses give what was most likely meant."""
    if side is stream:
        return Fix("put the arithmetic in parentheses", side.span, f"({side.span.text})")
    first = side.node
    while isinstance(first, tree.Binary):
        first = first.left
    if not isinstance(first, tree.Name | tree.Dotted | tree.Call):
        return Fix("put parentheses around the part that belongs together")
    flow = between(stream, first)
    return Fix("put the flow in parentheses", flow, f"({flow.text})")


# The rule is called as Python's own reserved word.
setattr(Build, "import", Build.bring)
