"""Expressions on numbers, words and ranges: exact, bounded, and without side effects.

Whole and real numbers are distinct: `/` gives a real, `//`, `ceil` and `floor` a whole. Whole numbers beyond 2**63 and
reals that overflow are refused, a power before it is computed, so that no text can make the checker slow.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smrdsl.core.errors import Report, did_you_mean
from smrdsl.ops.contract import Range
from smrdsl.spec.values import POISON, Poison, Scope, Stream, Value, Word, describe
from smrdsl.syntax import tree

if TYPE_CHECKING:
    from smrdsl.spec.files import Unit

LARGEST = 2**63 - 1
FUNCTIONS: dict[str, Callable[..., int | float]] = {
    "min": min,
    "max": max,
    "ceil": math.ceil,
    "floor": math.floor,
    "log2": math.log2,
}
ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(slots=True)
class Evaluator:
    """Evaluates expressions in a scope; `it` is the stream there, for `width`."""

    scope: Scope
    report: Report
    unit: Unit
    it: Stream | None = None

    def value(self, e: tree.Expression) -> Value:
        """The value of an expression, POISON after a mistake."""
        match e:
            case tree.Number() | tree.Text() | tree.Constant():
                return e.value
            case tree.Name():
                return self._name(e)
            case tree.Dotted():
                return self._dotted(e)
            case tree.Listing():
                items = [self.value(i) for i in e.items]
                return POISON if any(isinstance(i, Poison) for i in items) else items
            case tree.Range():
                return self._range(e)
            case tree.Unary():
                return self._unary(e)
            case tree.Binary():
                return self._binary(e)
            case tree.Call():
                return self._call(e)
            case tree.It() | tree.Pipe():
                return self._fail("E0304", "a stream cannot stand here, a number or word is needed", e)
        raise AssertionError(e)

    def truth(self, e: tree.Expression) -> bool | Poison:
        """The value of a condition."""
        value = self.value(e)
        if isinstance(value, bool | Poison):
            return value
        if isinstance(value, Word):
            return self.unknown(value)
        return self._fail("E0304", f"a condition is true or false, this is {describe(value)}", e)

    def number(self, e: tree.Expression) -> int | float | Poison:
        """The value of an expression that must be a number."""
        value = self.value(e)
        if isinstance(value, Poison) or is_number(value):
            return value  # type: ignore[return-value]
        if isinstance(value, Word):
            return self.unknown(value)
        return self._fail("E0304", f"a number is needed here, this is {describe(value)}", e)

    def unknown(self, word: Word) -> Poison:
        """Report a word that stands where none is allowed, at the place where it was written."""
        hint = did_you_mean(word.id, word.known)
        self.report.error("E0201", f"unknown name `{word.id}`{hint}", word.span)
        return POISON

    def _fail(self, code: str, message: str, e: tree.Node) -> Poison:
        self.report.error(code, message, e.span)
        return POISON

    def _name(self, e: tree.Name) -> Value:
        scope = self.scope.find(e.id)
        if scope is not None:
            return scope.names[e.id]
        if e.id == "width":
            return self._width(self.it, e)
        return Word(e.id, e.span, (*self.scope.all_names(), "width"))

    def _width(self, stream: Stream | None, e: tree.Node) -> int | Poison:
        if stream is None:
            return self._fail("E0201", "`width` is the width of the stream, and there is none here yet", e)
        if stream.type is None:
            return POISON
        if stream.type.kind == "index":
            return self._fail("E0401", "tokens have no width; put `embed(...)` first", e)
        return stream.type.width

    def _dotted(self, e: tree.Dotted) -> Value:
        scope = self.scope.find(e.base)
        value = scope.names[e.base] if scope else None
        if isinstance(value, Poison):
            return POISON
        if isinstance(value, Stream):
            if e.attribute == "width":
                return self._width(value, e)
            return self._fail("E0201", f"a stream has `width` only, not `{e.attribute}`", e)
        library = self.unit.aliases.get(e.base)
        if library is None or scope is not None:
            hint = did_you_mean(e.base, (*self.scope.all_names(), *self.unit.aliases))
            return self._fail("E0201", f"`{e.base}` is no tap and no imported file{hint}", e)
        if e.attribute.startswith("_") or e.attribute not in library.lets.names:
            hint = did_you_mean(e.attribute, library.lets.names)
            return self._fail("E0201", f"`{e.base}` has no public let `{e.attribute}`{hint}", e)
        return library.lets.names[e.attribute]

    def _range(self, e: tree.Range) -> Range | Poison:
        low, high = self.number(e.low), self.number(e.high)
        if isinstance(low, Poison) or isinstance(high, Poison):
            return POISON
        if low > high:
            return self._fail("E0305", f"the range runs backwards: {low:g} is above {high:g}", e)
        return Range(low=float(low), high=float(high))

    def _unary(self, e: tree.Unary) -> Value:
        if e.operator == "not":
            value = self.truth(e.operand)
            return value if isinstance(value, Poison) else not value
        value = self.number(e.operand)
        return value if isinstance(value, Poison) else -value

    def _binary(self, e: tree.Binary) -> Value:
        if e.operator in ("and", "or"):
            left, right = self.truth(e.left), self.truth(e.right)
            if isinstance(left, Poison) or isinstance(right, Poison):
                return POISON
            return left and right if e.operator == "and" else left or right
        if e.operator in ("==", "!="):
            return self._equal(e)
        left, right = self.number(e.left), self.number(e.right)
        if isinstance(left, Poison) or isinstance(right, Poison):
            return POISON
        if e.operator in ORDER:
            return ORDER[e.operator](left, right)
        return self._arithmetic(e, left, right)

    def _equal(self, e: tree.Binary) -> bool | Poison:
        left, right = self.value(e.left), self.value(e.right)
        if isinstance(left, Poison) or isinstance(right, Poison):
            return POISON
        for value, other in ((left, right), (right, left)):
            if isinstance(value, Word) and not isinstance(other, Word):
                if e.span.start <= value.span.start < e.span.end:
                    return self.unknown(value)  # written here: more likely a misspelt name than a word
                message = f"the word `{value.id}` compares with words only, not with {describe(other)}"
                return self._fail("E0307", message, e)
        if kind(left) != kind(right) and left is not None and right is not None:
            message = f"cannot compare {describe(left)} with {describe(right)}"
            return self._fail("E0307", message, e)
        return (left == right) is (e.operator == "==")

    def _arithmetic(self, e: tree.Binary, left: float, right: float) -> Value:
        if e.operator in ("/", "//", "%") and right == 0:
            return self._fail("E0307", f"division by zero: {left:g} {e.operator} 0", e)
        try:
            if e.operator == "**":
                result = self._power(left, right)
            else:
                result = ARITHMETIC[e.operator](left, right)
        except OverflowError:
            result = math.inf
        if isinstance(result, complex):
            return self._fail("E0307", "a root of a negative number is not real", e)
        return self._bounded(result, e)

    def _power(self, base: float, exponent: float) -> float:
        """base ** exponent, refused before it is computed where the whole result would not fit."""
        if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
            too_large = abs(base) > 1 and exponent * math.log2(abs(base)) > 63.01
            return math.inf if too_large else base**exponent
        if base == 0 and exponent < 0:
            return math.inf
        return float(base) ** exponent

    def _bounded(self, result: float, e: tree.Node) -> Value:
        if isinstance(result, int):
            if abs(result) <= LARGEST:
                return result
        elif math.isfinite(result):
            return result
        return self._fail("E0307", "the result is too large (beyond 2**63 or not finite)", e)

    def _call(self, e: tree.Call) -> Value:
        name = e.callee.spelled
        function = FUNCTIONS.get(name)
        if function is None:
            hint = did_you_mean(name, FUNCTIONS)
            message = f"`{name}` is no function; there are {', '.join(FUNCTIONS)}{hint}"
            return self._fail("E0202", message, e.callee)
        values = [self.number(a.value) for a in e.arguments]
        if any(isinstance(v, Poison) for v in values):
            return POISON
        wanted = "two or more" if name in ("min", "max") else "one"
        if len(values) < 2 if wanted != "one" else len(values) != 1:
            return self._fail("E0303", f"`{name}` takes {wanted} numbers, {len(values)} given", e)
        if any(a.name for a in e.arguments):
            return self._fail("E0301", f"the arguments of `{name}` have no names", e)
        if name == "log2" and values[0] <= 0:  # type: ignore[operator]
            return self._fail("E0307", f"log2 of {values[0]}: it must be above zero", e)
        return self._bounded(function(*values), e)


def is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def kind(value: Value) -> str:
    """What a value may be compared with: values of the same kind."""
    return "number" if is_number(value) else type(value).__name__
