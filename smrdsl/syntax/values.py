"""values: expressions and lists as docs, with the parentheses that they need and no others.

Comments go with what they stand in front of. The first of several may end the line before; the
others, having no line to end, stand on their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from smrdsl.syntax import tree
from smrdsl.syntax.doc import Doc, Group, IfBroken, Line, Nest, Note
from smrdsl.syntax.layout import Layout

# How tightly things bind, as in the grammar.
PIPE, OR, AND, NOT, COMPARISON, SUM, PRODUCT, MINUS, POWER, ATOM = range(10)
BINARY = {
    **{"or": OR, "and": AND, "+": SUM, "-": SUM, "**": POWER},
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), COMPARISON),
    **dict.fromkeys(("*", "/", "//", "%"), PRODUCT),
}
CONSTANTS = {True: "true", False: "false", None: "none"}


def binding(node: tree.Expression) -> int:
    """How tightly an expression binds."""
    match node:
        case tree.Pipe():
            return PIPE
        case tree.Binary():
            return BINARY[node.operator]
        case tree.Unary():
            return MINUS if node.operator == "-" else NOT
    return ATOM


class Values:
    """Sets expressions, and lists in brackets."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    # --- comments

    def boundary(self, offset: int) -> tuple[Doc, tuple[Doc, ...]]:
        """The comments in front of an offset: one that ends the line before, and those on own lines."""
        comments = self.layout.comments(offset)
        trailing = [Note(c.text, own=False) for c in comments[:1] if not c.own]
        return tuple(trailing), tuple(Note(c.text, own=True) for c in comments[len(trailing) :])

    def leaf(self, node: tree.Node, text: str) -> Doc:
        """A text that stands where the node does."""
        return (*self.boundary(node.span.start), text)

    def name(self, node: tree.Name | tree.Dotted) -> Doc:
        text = node.id if isinstance(node, tree.Name) else f"{node.base}.{node.attribute}"
        return self.leaf(node, text)

    # --- lists

    def bracket(self, opening: str, items: Sequence[Any], doc: Callable[[Any], Doc], closing: str, end: int) -> Doc:
        """Items in brackets, all on one line or each on its own; the closing one is at `end`."""
        rows: list[Doc] = []
        for place, item in enumerate(items):
            trailing, own = self.boundary(item.span.start)
            rows += [",", trailing, Line()] if place else [trailing, Line("")]
            rows += [own, doc(item)]
        trailing, own = self.boundary(end)
        rows += [IfBroken(","), trailing, *((Line(hard=True), note) for note in own)]
        return Group((opening, Nest(tuple(rows)), Line(""), closing))

    def arguments(self, arguments: Sequence[tree.Argument]) -> Doc:
        """A list of arguments, nothing if it is empty."""
        if not arguments:
            return ""
        end = self.layout.closing(arguments[-1].span.end)
        return self.bracket("(", arguments, self.argument, ")", end)

    def argument(self, argument: tree.Argument) -> Doc:
        name = "" if argument.name is None else self.leaf(argument, f"{argument.name}=")
        return (name, self.value(argument.value))

    # --- expressions

    def value(self, node: tree.Expression, least: int = PIPE) -> Doc:
        """An expression, in parentheses where it binds less tightly than its place needs."""
        if binding(node) < least:
            return ("(", self.value(node), ")")
        match node:
            case tree.Number() | tree.Text():
                return self.leaf(node, self.layout.literal(node))
            case tree.Constant():
                return self.leaf(node, CONSTANTS[node.value])
            case tree.It():
                return self.leaf(node, "it")
            case tree.Name() | tree.Dotted():
                return self.name(node)
            case tree.Listing():
                return self.listing(node)
            case tree.Range():
                return (self.value(node.low), "..", self.value(node.high))
            case tree.Call():
                return (self.name(node.callee), self.arguments(node.arguments) or "()")
            case tree.Unary():
                sign = "-" if node.operator == "-" else "not "
                return (self.leaf(node, sign), self.value(node.operand, binding(node)))
            case tree.Binary():
                return self.binary(node)
            case tree.Pipe():
                return self.pipe(node)

    def listing(self, node: tree.Listing) -> Doc:
        if not node.items:
            return self.leaf(node, "[]")
        comments = self.boundary(node.span.start)
        return (*comments, self.bracket("[", node.items, self.value, "]", node.span.end - 1))

    def binary(self, node: tree.Binary) -> Doc:
        level = binding(node)
        left, right = level, level + 1
        if level == COMPARISON:
            left = SUM
        if level == POWER:
            left, right = ATOM, MINUS
        return (self.value(node.left, left), f" {node.operator} ", self.value(node.right, right))

    def pipe(self, node: tree.Pipe) -> Doc:
        """A flow, all on one line or each of its operators on its own."""
        targets = []
        stream: tree.Expression = node
        while isinstance(stream, tree.Pipe):
            targets.append(stream.target)
            stream = stream.stream
        first = self.value(stream, ATOM)
        rows: list[Doc] = []
        for target in reversed(targets):
            trailing, own = self.boundary(target.span.start)
            rows += [trailing, Line(), own, "|> ", self.value(target, ATOM)]
        return Group((first, Nest(tuple(rows))))
