"""Flows: `it`, taps, `flow |> op(...)`, operators over streams, and arithmetic on streams and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from smrdsl.core.errors import Fix, did_you_mean
from smrdsl.spec.evaluate import FUNCTIONS, is_number
from smrdsl.spec.files import Unit
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
            return LOST
        return self._fail(f"a flow gives a stream, this is {describe(operand)}", e)

    def _fail(self, message: str, e: tree.Node, fix: Fix | None = None) -> Stream:
        self.expander.report.error("E0208", message, e.span, fix=fix)
        return self.expander.lost()

    def _operand(self, e: tree.Expression) -> Stream | int | float | None:
        """A stream or a number; None after a mistake with a number."""
        match e:
            case tree.It():
                return self.it or self._fail("there is no stream yet, so no `it`", e)
            case tree.Name():
                return self._name(e)
            case tree.Pipe():
                return self._pipe(e)
            case tree.Call() if not self._is_function(e):
                return self._call(e)
            case tree.Unary(operator="-"):
                return self._negate(e)
            case tree.Binary() if e.operator in ("+", "-", "*", "/"):
                return self._arithmetic(e)
        value = self.expander.evaluator(self.scope, self.unit, self.it).number(e)
        return None if isinstance(value, Poison) else value

    def _is_function(self, e: tree.Call) -> bool:
        return isinstance(e.callee, tree.Name) and e.callee.id in FUNCTIONS

    def _name(self, e: tree.Name) -> Stream | int | float | None:
        scope = self.scope.find(e.id)
        value = scope.names[e.id] if scope else None
        if isinstance(value, Stream):
            if value.mirrors != self.place.mirrors and value.key:
                message = f"the tap `{e.id}` was set outside of `bidirectional`, where time runs otherwise"
                return self._fail(message, e)
            return value
        if isinstance(value, Poison):
            return None
        if scope and is_number(value):
            return value  # type: ignore[return-value]
        if scope:
            self._fail(f"`{e.id}` is {describe(value)}, not a stream", e)
            return LOST
        if e.id in self.expander.ops or self.unit.component(e) is not None:
            fix = Fix(f"write `it |> {e.id}`", e.span, f"it |> {e.id}")
            return self._fail(f"`{e.id}` needs its stream: write `it |> {e.id}`", e, fix)
        if e.id == "width":
            value = self.expander.evaluator(self.scope, self.unit, self.it).number(e)
            return None if isinstance(value, Poison) else value
        hint = did_you_mean(e.id, (*self.scope.all_names(), "it"))
        self.expander.report.error("E0201", f"unknown name `{e.id}`{hint}", e.span)
        return LOST

    def _pipe(self, e: tree.Pipe) -> Stream:
        stream, target = self.stream(e.stream), e.target
        if not isinstance(target, tree.Name | tree.Dotted | tree.Call):
            return self._fail("`|>` leads into an operator or component", target)
        callee = target.callee if isinstance(target, tree.Call) else target
        arguments = target.arguments if isinstance(target, tree.Call) else ()
        step = tree.Step(None, callee, arguments, None, span=target.span)
        component = self.unit.component(callee)
        if component is not None:
            leaves = self.expander.step(step, self.scope, self.place, stream, self.unit)
            return leaves or LOST
        op = self.expander.ops.get(callee.spelled)
        if op is None:
            return self.expander.lost()  # names.py reported it
        if op.structural or len(op.streams) != 1 or op.streams == ("...",):
            return self._fail(f"`{op.name}` cannot follow `|>`", callee)
        evaluator = self.expander.evaluator(self.scope, self.unit, self.it)
        return self.expander.operator(step, op, evaluator, self.place, [stream])

    def _call(self, e: tree.Call) -> Stream:
        op = self.expander.ops.get(e.callee.spelled)
        if op is None:
            return self.expander.lost()  # names.py reported it
        if len(op.streams) < 2 or op.structural:
            return self._fail(f"`{op.name}` needs its stream: write {self._piped(op.name, e)}", e)
        streams, rest = e.arguments[: len(op.streams)], e.arguments[len(op.streams) :]
        if len(streams) < len(op.streams) or any(a.name for a in streams):
            return self._fail(f"`{op.name}` takes the streams {', '.join(op.streams)} first", e)
        inputs: list[Stream | None] = [self.stream(a.value) for a in streams]
        evaluator = self.expander.evaluator(self.scope, self.unit, self.it)
        return self.expander.operator(e, op, evaluator, self.place, inputs, rest)

    def _piped(self, op: str, e: tree.Call) -> str:
        """How a call over one stream is written: `x |> op(...)`."""
        first = e.arguments[0].value if e.arguments else None
        scope = self.scope.find(first.id) if isinstance(first, tree.Name) else None
        is_stream = scope is not None and isinstance(scope.names[first.id], Stream)  # type: ignore[union-attr]
        stream = first.span.text if first and (is_stream or isinstance(first, tree.It)) else "it"
        rest = e.arguments[1:] if stream != "it" or isinstance(first, tree.It) else e.arguments
        inside = ", ".join(a.span.text for a in rest)
        return f"`{stream} |> {op}({inside})`" if inside else f"`{stream} |> {op}`"

    def _negate(self, e: tree.Unary) -> Stream | int | float | None:
        value = self._operand(e.operand)
        if isinstance(value, Stream):
            return self.expander.structural("neg", {}, [value], e.span, self.place)
        return value if value is None else -value

    def _arithmetic(self, e: tree.Binary) -> Stream | int | float | None:
        left, right = self._operand(e.left), self._operand(e.right)
        if left is None or right is None:
            return LOST
        if isinstance(left, Stream) and isinstance(right, Stream):
            if e.operator == "/":
                return self._fail("a stream is divided by a number only", e)
            return self._node(ARITHMETIC[e.operator], {}, [left, right], e)
        if isinstance(left, Stream):
            return self._with_number(e, left, right)  # type: ignore[arg-type]
        if isinstance(right, Stream):
            return self._number_first(e, left, right)
        value = self.expander.evaluator(self.scope, self.unit, self.it).number(e)
        return None if isinstance(value, Poison) else value

    def _node(self, op: str, params: dict[str, object], inputs: list[Stream], e: tree.Node) -> Stream:
        return self.expander.structural(op, params, inputs, e.span, self.place)

    def _with_number(self, e: tree.Binary, stream: Stream, number: float) -> Stream:
        if e.operator == "/":
            if number == 0:
                self.expander.report.error("E0307", "division of a stream by zero", e.span)
                return LOST
            return self._node("scale", {"value": 1 / number}, [stream], e)
        if e.operator == "*":
            return self._node("scale", {"value": float(number)}, [stream], e)
        value = float(number) if e.operator == "+" else -float(number)
        return self._node("shift", {"value": value}, [stream], e)

    def _number_first(self, e: tree.Binary, number: float, stream: Stream) -> Stream:
        if e.operator == "/":
            return self._fail("a stream is divided by a number only", e)
        if e.operator == "-":
            stream = self._node("neg", {}, [stream], e)
        op = "scale" if e.operator == "*" else "shift"
        return self._node(op, {"value": float(number)}, [stream], e)
