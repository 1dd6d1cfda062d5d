"""Flows: `it`, taps, `flow |> op(...)`, operators over streams, and arithmetic on streams and numbers, made to nodes.

What can be seen in the text alone, names and callees, `streams` has checked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smrdsl.spec.arithmetic import FUNCTIONS
from smrdsl.spec.evaluate import is_number
from smrdsl.spec.units import Unit
from smrdsl.spec.values import LOST, Poison, Scope, Stream, describe
from smrdsl.spec.wiring import Place
from smrdsl.syntax import tree

if TYPE_CHECKING:
    from smrdsl.spec.expand import Expander

ARITHMETIC = {"+": "add", "-": "sub", "*": "mul"}


@dataclass(slots=True)
class Flows:
    """Expands the flow of one statement."""

    expander: Expander
    scope: Scope
    place: Place
    it: Stream | None
    unit: Unit

    def stream(self, e: tree.Expression) -> Stream:
        """The stream that a flow gives, LOST after a mistake."""
        operand = self._operand(e)
        if isinstance(operand, Stream):
            return operand
        if operand is None:
            return self.expander.lost()
        return self._fail(f"a flow gives a stream, this is {describe(operand)}", e)

    def _fail(self, message: str, e: tree.Node, code: str = "E0208") -> Stream:
        self.expander.report.error(code, message, e.span, related=self.place.related())
        return self.expander.lost()

    def _number(self, e: tree.Expression) -> int | float | None:
        value = self.expander.evaluator(self.scope, self.place, self.it, self.unit).number(e)
        return None if isinstance(value, Poison) else value

    def _operand(self, e: tree.Expression) -> Stream | int | float | None:
        """A stream or a number; None after a mistake with a number."""
        match e:
            case tree.It():
                return self.it or self._fail("there is no stream yet, so no `it`", e)
            case tree.Name():
                return self._name(e)
            case tree.Pipe():
                return self._pipe(e)
            case tree.Call() if e.callee.spelled not in FUNCTIONS:
                return self._call(e)
            case tree.Unary(operator="-"):
                return self._negate(e)
            case tree.Binary() if e.operator in ("+", "-", "*", "/"):
                return self._arithmetic(e)
        return self._number(e)

    def _name(self, e: tree.Name) -> Stream | int | float | None:
        scope = self.scope.find(e.id)
        value = scope.names[e.id] if scope else None
        if isinstance(value, Stream):
            return self._tap(e, value)
        if isinstance(value, Poison):
            return None
        if scope and is_number(value):
            return value  # type: ignore[return-value]
        if scope:
            return self._fail(f"`{e.id}` is {describe(value)}, not a stream", e)
        return self._number(e) if e.id == "width" else self.expander.lost()  # streams.py reported other names

    def _tap(self, e: tree.Name, tap: Stream) -> Stream:
        if tap.mirrors != self.place.mirrors and tap.key:
            message = f"the tap `{e.id}` was set outside of `bidirectional`, where time runs otherwise"
            return self._fail(message, e)
        return tap

    def _pipe(self, e: tree.Pipe) -> Stream:
        stream, target = self.stream(e.stream), e.target
        if not isinstance(target, tree.Name | tree.Dotted | tree.Call):
            return self.expander.lost()  # streams.py reported it
        callee = target.callee if isinstance(target, tree.Call) else target
        arguments = target.arguments if isinstance(target, tree.Call) else ()
        step = tree.Step(None, callee, arguments, None, span=target.span)
        if self.unit.component(callee) is not None:
            entering = replace(stream, around=None)
            return self.expander.step(step, self.scope, self.place, entering, self.unit) or self.expander.lost()
        op = self.expander.ops.get(callee.spelled)
        if op is None or op.structural or len(op.streams) != 1:
            return self.expander.lost()  # streams.py reported it
        evaluator = self.expander.evaluator(self.scope, self.place, self.it, self.unit)
        return self.expander.operator(step, op, evaluator, self.place, [stream])

    def _call(self, e: tree.Call) -> Stream:
        op = self.expander.ops.get(e.callee.spelled)
        streams, rest = e.arguments[: len(op.streams) if op else 0], e.arguments[len(op.streams) if op else 0 :]
        few = op is None or len(streams) < len(op.streams) or any(a.name for a in streams)
        if few or op is None or len(op.streams) < 2 or op.structural:
            return self.expander.lost()  # streams.py reported it
        inputs: list[Stream | None] = [self.stream(a.value) for a in streams]
        evaluator = self.expander.evaluator(self.scope, self.place, self.it, self.unit)
        return self.expander.operator(e, op, evaluator, self.place, inputs, rest)

    def _negate(self, e: tree.Unary) -> Stream | int | float | None:
        value = self._operand(e.operand)
        if isinstance(value, Stream):
            return self._node("neg", [value], e)
        return value if value is None else -value

    def _arithmetic(self, e: tree.Binary) -> Stream | int | float | None:
        left, right = self._operand(e.left), self._operand(e.right)
        if left is None or right is None:
            return LOST if isinstance(left, Stream) or isinstance(right, Stream) else None
        if not isinstance(left, Stream) and not isinstance(right, Stream):
            return self._number(e)
        if e.operator == "/" and isinstance(right, Stream):
            return self._fail("a stream is divided by a number only", e)
        if isinstance(left, Stream) and isinstance(right, Stream):
            return self._node(ARITHMETIC[e.operator], [left, right], e)
        if isinstance(left, Stream):
            return self._with_number(e, left, right)  # type: ignore[arg-type]
        return self._number_first(e, left, right)  # type: ignore[arg-type]

    def _node(self, op: str, inputs: list[Stream], e: tree.Node, value: float | None = None) -> Stream:
        params: dict[str, object] = {} if value is None else {"value": float(value)}
        return self.expander.structural(op, params, inputs, e.span, self.place)

    def _with_number(self, e: tree.Binary, stream: Stream, number: float) -> Stream:
        if e.operator in ("+", "-"):
            return self._node("shift", [stream], e, number if e.operator == "+" else -number)
        if e.operator == "*":
            return self._node("scale", [stream], e, number)
        if number == 0 or not math.isfinite(1 / number):
            reason = "zero" if number == 0 else f"{number!r}, which leaves no finite number"
            return self._fail(f"division of a stream by {reason}", e, "E0307")
        return self._node("scale", [stream], e, 1 / number)

    def _number_first(self, e: tree.Binary, number: float, stream: Stream) -> Stream:
        if e.operator == "-":
            stream = self._node("neg", [stream], e)
        return self._node("scale" if e.operator == "*" else "shift", [stream], e, number)
