"""build: the tree's nodes, made while the parser finds them, by one method for each rule.

Tokens keep their places in a rule, so a method's parameters read like its rule; a part that is not
there is None.
"""

from __future__ import annotations

import json

from lark import Transformer, v_args

from smrdsl.core.errors import Fix
from smrdsl.syntax import tree
from smrdsl.syntax.parts import (
    Given,
    Many,
    Part,
    Value,
    bare,
    between,
    deeper,
    identifier,
    items,
    listed,
    maybe,
    not_mixed,
    optional,
    part,
)
from smrdsl.syntax.tokens import Token

CONSTANTS = {"true": True, "false": False, "none": None}


@v_args(inline=True)
class Build(Transformer):
    """What the parser calls for each rule that it finds."""

    # --- a file

    def file(self, *items: tree.Node) -> tuple:
        return items

    def steps(self, *statements: tree.Statement) -> tuple:
        return statements

    def bring(self, keyword: Token, path: Token, word: Token | None, alias: Token | None) -> tree.Import:
        return tree.Import(self.text(path), optional(alias), span=between(keyword, alias or path))

    def component(self, keyword: Token, name: Token, parameters: Many | None, block: tree.Block) -> tree.Component:
        span = between(keyword, block)
        return tree.Component(identifier(name), items(parameters), block, span=span)

    def model(self, keyword: Token, name: Token, parameters: Many | None, block: tree.Block) -> tree.Model:
        # Without a base, an empty list and none mean the same.
        given = parameters.items if parameters and parameters.items else None
        return tree.Model(identifier(name), given, None, (), block, span=between(keyword, block))

    def twin(
        self,
        keyword: Token,
        name: Token,
        parameters: Many | None,
        extends: Token,
        base: tree.Name | tree.Dotted,
        arguments: Many | None,
        edits: tree.Block,
    ) -> tree.Model:
        given = parameters.items if parameters else None
        span = between(keyword, edits)
        return tree.Model(identifier(name), given, base, items(arguments), edits, span=span)

    def parameters(self, opening: Token, *parts: tree.Parameter | Token | None) -> Many:
        return listed(opening, parts)

    def parameter(self, name: Token, equals: Token | None, default: Value | None) -> tree.Parameter:
        return tree.Parameter(identifier(name), maybe(default), span=between(name, default or name))

    # --- blocks

    def block(self, opening: Token, *parts: tree.Statement | Token) -> tree.Block:
        statements, span, _ = listed(opening, parts)
        if not statements and opening.reading.sound(span):
            end = opening.reading.span(span.end - 1, span.end - 1)
            skip = " skip " if span.end - span.start == 2 else "skip "
            fix = Fix("write `skip` for a block that does nothing", end, skip)
            opening.reading.error("E0105", "this block is empty", span, fix=fix)
        return tree.Block(statements, span=span)

    def edits(self, opening: Token, *parts: tree.Statement | Token) -> tree.Block:
        statements, span, _ = listed(opening, parts)
        return tree.Block(statements, span=span)

    def let(self, keyword: Token, name: Token, equals: Token, value: Value) -> tree.Let:
        return tree.Let(identifier(name), bare(value), span=between(keyword, value))

    def require(self, keyword: Token, condition: Value, comma: Token, message: Token) -> tree.Require:
        return tree.Require(bare(condition), self.text(message), span=between(keyword, message))

    def tap(self, name: Token, becomes: Token, flow: Value) -> tree.Tap:
        return tree.Tap(identifier(name), bare(flow), span=between(name, flow))

    def set_it(self, it: Token, becomes: Token, flow: Value) -> tree.SetIt:
        return tree.SetIt(bare(flow), span=between(it, flow))

    def step(
        self,
        label: tree.Name | None,
        callee: tree.Name | tree.Dotted,
        arguments: Many | None,
        block: tree.Block | None = None,
    ) -> tree.Step:
        span = between(label or callee, block or arguments or callee)
        return tree.Step(label, callee, items(arguments), block, span=span)

    def branch(self, keyword: Token, block: tree.Block) -> tree.Branch:
        return tree.Branch(block, span=between(keyword, block))

    def repeat(
        self,
        label: tree.Name | None,
        keyword: Token,
        count: Value,
        word: Token | None,
        index: Token | None,
        block: tree.Block,
    ) -> tree.Repeat:
        span = between(label or keyword, block)
        return tree.Repeat(label, bare(count), optional(index), block, span=span)

    def when(self, label: tree.Name | None, *parts: tree.Arm | Token | None) -> tree.When:
        arms = tuple(p for p in parts if isinstance(p, tree.Arm))
        return tree.When(label, arms, span=between(label or arms[0], arms[-1]))

    def arm(self, keyword: Token, condition: Value, block: tree.Block) -> tree.Arm:
        return tree.Arm(bare(condition), block, span=between(keyword, block))

    def otherwise(self, block: tree.Block) -> tree.Arm:
        return tree.Arm(None, block, span=block.span)

    def body(self, label: tree.Name | None, keyword: Token) -> tree.Body:
        return tree.Body(label, span=between(label or keyword, keyword))

    def label(self, name: Token, colon: Token) -> tree.Name:
        return identifier(name)

    # --- edits

    def place(
        self, keyword: Token, step: tree.Step, side: Token, selector: tree.Selector, where: Part | None
    ) -> tree.Place:
        span = between(keyword, where or selector)
        return tree.Place(step, side.text, selector, maybe(where), span=span)

    def replace(
        self, keyword: Token, selector: tree.Selector, word: Token, step: tree.Step, where: Part | None
    ) -> tree.Replace:
        return tree.Replace(selector, step, maybe(where), span=between(keyword, where or step))

    def remove(self, keyword: Token, selector: tree.Selector, where: Part | None) -> tree.Remove:
        return tree.Remove(selector, maybe(where), span=between(keyword, where or selector))

    def execute(
        self, keyword: Token, selector: tree.Selector, word: Token, strategy: Token, where: Part | None
    ) -> tree.Execute:
        span = between(keyword, where or strategy)
        return tree.Execute(selector, identifier(strategy), maybe(where), span=span)

    def selector(self, name: Token, dot: Token | None, attribute: Token | None) -> tree.Selector:
        text = f"{name.text}.{attribute.text}" if attribute else name.text
        return tree.Selector(text, span=between(name, attribute or name))

    def where(self, keyword: Token, condition: Value) -> Part:
        return Part(bare(condition), between(keyword, condition))

    # --- values

    def arguments(self, opening: Token, *parts: Given | Token | None) -> Many:
        return listed(opening, parts)

    def argument(self, name: Token | None, equals: Token | None, value: Value) -> Given:
        given = part(value)
        span = between(name or given, given)
        return Given(tree.Argument(name and name.text, given.node, span=span), span, given.depth)

    def range(self, low: Value, dots: Token, high: Value) -> Part:
        first, last = part(low), part(high)
        span = between(first, last)
        return Part(tree.Range(first.node, last.node, span=span), span, max(first.depth, last.depth))

    def pipe(self, stream: Value, sign: Token, target: Value) -> Part:
        first, last = part(stream), part(target)
        span = between(first, last)
        not_mixed(first, sign, last)
        depth = deeper(span, first.depth, last.depth)
        return Part(tree.Pipe(first.node, last.node, span=span), span, depth)

    def binary(self, left: Value, operator: Token, right: Value) -> Part:
        first, last = part(left), part(right)
        span = between(first, last)
        depth = deeper(span, first.depth, last.depth)
        return Part(tree.Binary(operator.text, first.node, last.node, span=span), span, depth)

    def unary(self, operator: Token, operand: Value) -> Part:
        only = part(operand)
        span = between(operator, only)
        return Part(tree.Unary(operator.text, only.node, span=span), span, deeper(span, only.depth))

    def group(self, opening: Token, value: Value, closing: Token) -> Part:
        inner = part(value)
        return Part(inner.node, between(opening, closing), inner.depth, grouped=True)

    def listing(self, opening: Token, *parts: Value | Token | None) -> Part:
        items, span, depth = listed(opening, parts)
        return Part(tree.Listing(items, span=span), span, deeper(span, depth))

    def call(self, callee: tree.Name | tree.Dotted, arguments: Many) -> Part:
        span = between(callee, arguments)
        return Part(tree.Call(callee, arguments.items, span=span), span, deeper(span, arguments.depth))

    def number(self, token: Token) -> tree.Number:
        whole = token.text.replace("_", "").isdecimal()
        return tree.Number(int(token.text) if whole else float(token.text), span=token.span)

    def text(self, token: Token) -> tree.Text:
        return tree.Text(json.loads(token.text, strict=False), span=token.span)

    def constant(self, token: Token) -> tree.Constant:
        return tree.Constant(CONSTANTS[token.text], span=token.span)

    def it(self, token: Token) -> tree.It:
        return tree.It(span=token.span)

    def name(self, token: Token) -> tree.Name:
        return identifier(token)

    def dotted(self, base: Token, dot: Token, attribute: Token) -> tree.Dotted:
        return tree.Dotted(base.text, attribute.text, span=between(base, attribute))


# The rule is called as one of Python's own reserved words.
setattr(Build, "import", Build.bring)
