"""Walk: what a text holds, before anything in it has a meaning: its statements, what flows call, names, paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from smrdsl.core.source import Span
from smrdsl.spec.arithmetic import FUNCTIONS
from smrdsl.spec.paths import plain
from smrdsl.syntax import tree

if TYPE_CHECKING:
    from smrdsl.spec.units import Unit
    from smrdsl.spec.values import BodyOf

EDITS = (tree.Place, tree.Replace, tree.Remove, tree.Execute)
COMBINATORS = ("residual", "gated", "parallel", "bidirectional")


def walk(block: tree.Block) -> Iterator[tree.Statement]:
    """All statements of a block, inner ones too, in their order."""
    stack = [iter(block.statements)]
    while stack:
        s = next(stack[-1], None)
        if s is None:
            stack.pop()
            continue
        yield s
        stack.extend(iter(inner.statements) for inner in reversed(blocks_of(s)))


def blocks_of(s: tree.Statement) -> tuple[tree.Block, ...]:
    match s:
        case tree.Step():
            return (s.body,) if s.body else ()
        case tree.Repeat() | tree.Branch():
            return (s.block,)
        case tree.When():
            return tuple(arm.block for arm in s.arms)
    return ()


def callees(e: tree.Expression) -> Iterator[tree.Name | tree.Dotted]:
    """What a flow calls, in the order of the nodes that come of it."""
    match e:
        case tree.Pipe():
            yield from callees(e.stream)
            if isinstance(e.target, tree.Name | tree.Dotted):
                yield e.target
            elif isinstance(e.target, tree.Call):
                yield e.target.callee
        case tree.Call() if e.callee.spelled not in FUNCTIONS:
            for a in e.arguments:
                yield from callees(a.value)
            yield e.callee
        case tree.Unary():
            yield from callees(e.operand)
        case tree.Binary():
            yield from callees(e.left)
            yield from callees(e.right)


def names_in(e: tree.Expression) -> Iterator[tree.Name]:
    """The bare names of an expression."""
    match e:
        case tree.Name():
            yield e
        case tree.Unary():
            yield from names_in(e.operand)
        case tree.Binary():
            yield from names_in(e.left)
            yield from names_in(e.right)
        case tree.Range():
            yield from names_in(e.low)
            yield from names_in(e.high)
        case tree.Listing():
            for item in e.items:
                yield from names_in(item)
        case tree.Call():
            for a in e.arguments:
                yield from names_in(a.value)


def written_names(block: tree.Block, unit: Unit, body: BodyOf | None) -> Iterator[tuple[str, Span]]:
    """The names that the steps of a block would take on its path, and where they stand in the text."""
    for s in block.statements:
        match s:
            case tree.Tap() | tree.SetIt():
                yield from ((plain(c.spelled), c.span) for c in callees(s.flow))
            case tree.Step() if s.label is None:
                yield from _of_step(s, unit, body)
            case tree.Repeat() if s.label is None:
                yield "layers", s.span
            case tree.When() if s.label is None:
                for arm in s.arms:
                    yield from written_names(arm.block, unit, body)
            case tree.Body() if s.label is None and body is not None:
                yield from written_names(body.block, body.unit, body.scope.given_body())


def _of_step(s: tree.Step, unit: Unit, body: BodyOf | None) -> Iterator[tuple[str, Span]]:
    name = s.callee.spelled
    yield plain(name), s.callee.span
    if unit.component(s.callee) is not None:
        return
    for part in {"parallel": ("branch",), "bidirectional": ("ahead", "back")}.get(name, ()):
        yield part, s.callee.span
    if s.body is not None and name in ("residual", "gated"):
        yield from written_names(s.body, unit, body)
