"""Evaluates expressions on numbers, words and ranges; `arithmetic` computes.

A word is a bare name that nothing in scope defines. Where it cannot stand it is told at the place where it was written,
which may be far from the place where something else is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from smrdsl.core.errors import Related, Report
from smrdsl.core.source import Span
from smrdsl.ops.contract import Range
from smrdsl.spec.arithmetic import FUNCTIONS, ORDER, apply, compute
from smrdsl.spec.limits import Budget
from smrdsl.spec.values import POISON, Poison, Scope, Stream, Value, Word, describe
from smrdsl.spec.wiring import used_here
from smrdsl.syntax import tree

if TYPE_CHECKING:
    from smrdsl.spec.units import Unit


@dataclass(slots=True)
class Evaluator:
    """Evaluates expressions in a scope. `it` is the stream there, for `width`; `uses` are the places of use."""

    scope: Scope
    report: Report
    unit: Unit
    it: Stream | None = None
    uses: tuple[Span, ...] = ()
    budget: Budget | None = None

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
                return self._list(e)
            case tree.Range():
                return self._range(e)
            case tree.Unary():
                return self._unary(e)
            case tree.Binary():
                return self._binary(e)
            case tree.Call():
                return self._call(e)
            case tree.It() | tree.Pipe():
                return self.fail("E0304", "this is a stream, and a number or word is needed here", e)
        raise AssertionError(e)

    def truth(self, e: tree.Expression) -> bool | Poison:
        """The value of a condition."""
        value = self.value(e)
        if isinstance(value, bool | Poison):
            return value
        if isinstance(value, Word):
            return self.unknown(value, e, "a condition")
        return self.fail("E0304", f"a condition is true or false, this is {describe(value)}", e)

    def number(self, e: tree.Expression) -> int | float | Poison:
        """The value of an expression that must be a number."""
        value = self.value(e)
        if isinstance(value, Poison) or is_number(value):
            return value  # type: ignore[return-value]
        if isinstance(value, Word):
            return self.unknown(value, e, "a number")
        return self.fail("E0304", f"a number is needed here, this is {describe(value)}", e)

    def unknown(self, word: Word, e: tree.Expression, needed: str) -> Poison:
        """Report a word that stands where something else is needed, at the place where it was written."""
        if word.span is None:
            return self.fail("E0304", f"{needed} is needed here, this is the word `{word.id}`", e)
        hint = self.report.hint(word.id, word.known())
        related = [] if is_within(word.span, e.span) else [Related(f"{needed} is needed here", e.span)]
        if hint or not self.unit.lacks_names:
            self.report.error("E0201", f"unknown name `{word.id}`{hint}", word.span, related=related)
        return POISON

    def fail(self, code: str, message: str, e: tree.Node) -> Poison:
        """Report a mistake in an expression."""
        self.report.error(code, message, e.span, related=used_here(self.uses))
        return POISON

    def spend(self, turns: int, e: tree.Node) -> None:
        """Count turns, where they are counted."""
        if self.budget:
            self.budget.spend(turns, e.span)

    def _name(self, e: tree.Name) -> Value:
        scope = self.scope.find(e.id)
        if scope is not None:
            value = scope.names[e.id]
            if isinstance(value, Stream):
                return self.fail("E0304", f"`{e.id}` is a stream, and a number or word is needed here", e)
            return value
        if e.id == "width":
            return self._width(self.it, e)
        if e.id in self.unit.aliases:
            return self.fail("E0201", imported_file(e.id), e)
        return Word(e.id, e.span, self.scope)

    def _width(self, stream: Stream | None, e: tree.Node) -> int | Poison:
        if stream is None:
            return self.fail("E0201", "`width` is the width of the stream, and there is none here yet", e)
        if stream.type is None:
            return POISON
        if stream.type.kind == "index":
            return self.fail("E0401", "tokens have no width; put `embed(...)` first", e)
        return stream.type.width

    def _dotted(self, e: tree.Dotted) -> Value:
        scope = self.scope.find(e.base)
        value = scope.names[e.base] if scope else None
        if isinstance(value, Poison):
            return POISON
        if isinstance(value, Stream):
            if e.attribute == "width":
                return self._width(value, e)
            return self.fail("E0201", f"a stream has `width` only, not `{e.attribute}`", e)
        if scope is not None:
            return self.fail("E0201", f"`{e.base}` is {describe(value)} here, and has no `{e.attribute}`", e)
        problem = self.unit.no_let(e, self.report)
        return self.fail(*problem, e) if problem else self.unit.aliases[e.base].lets.names[e.attribute]

    def _list(self, e: tree.Listing) -> list[Value] | Poison:
        self.spend(len(e.items), e)
        items = [self.value(i) for i in e.items]
        for item, value in zip(e.items, items, strict=True):
            if isinstance(value, Word):
                return self.unknown(value, item, "a number")
        return POISON if any(isinstance(i, Poison) for i in items) else items

    def _range(self, e: tree.Range) -> Range | Poison:
        low, high = self.number(e.low), self.number(e.high)
        if isinstance(low, Poison) or isinstance(high, Poison):
            return POISON
        if low > high:
            return self.fail("E0305", f"the range runs backwards: {low:g} is above {high:g}", e)
        return Range(low=float(low), high=float(high))

    def _unary(self, e: tree.Unary) -> Value:
        if e.operator == "not":
            value = self.truth(e.operand)
            return value if isinstance(value, Poison) else not value
        value = self.number(e.operand)
        return value if isinstance(value, Poison) else -value

    def _binary(self, e: tree.Binary) -> Value:
        if e.operator in ("and", "or"):
            left = self.truth(e.left)
            decided = isinstance(left, Poison) or left is (e.operator == "or")
            return left if decided else self.truth(e.right)
        if e.operator in ("==", "!="):
            equal = self._equal(e)
            return equal if isinstance(equal, Poison) else equal is (e.operator == "==")
        left, right = self.number(e.left), self.number(e.right)
        if isinstance(left, Poison) or isinstance(right, Poison):
            return POISON
        if e.operator in ORDER:
            return ORDER[e.operator](left, right)
        return self._result(compute(e.operator, left, right), e)

    def _result(self, result: int | float | str, e: tree.Node) -> Value:
        return self.fail("E0307", result, e) if isinstance(result, str) else result

    def _equal(self, e: tree.Binary) -> bool | Poison:
        """Words equal words, numbers numbers; `none` may be asked for everywhere."""
        left, right = self.value(e.left), self.value(e.right)
        if isinstance(left, Poison) or isinstance(right, Poison):
            return POISON
        if isinstance(left, Word) or isinstance(right, Word):
            return self._equal_words(left, right, e)
        if kind(left) != kind(right) and left is not None and right is not None:
            message = f"cannot compare {describe(left)} with {describe(right)}"
            return self.fail("E0307", message, e)
        return left == right

    def _equal_words(self, left: Value, right: Value, e: tree.Binary) -> bool | Poison:
        if isinstance(left, Word) and isinstance(right, Word):
            return left == right
        word, other, beside = (left, right, e.right) if isinstance(left, Word) else (right, left, e.left)
        assert isinstance(word, Word)
        written_here = word.span is not None and is_within(word.span, e.span)
        if other is None and not (written_here and isinstance(beside, tree.Constant)):
            return False  # an argument that takes words or none
        return self._odd_word(word, other, e, written_here)

    def _odd_word(self, word: Word, other: Value, e: tree.Binary, written_here: bool) -> Poison:
        """A word beside something that is none: a misspelt name where it was written here."""
        reason = f"compares with words only, not with {describe(other)}"
        if not written_here:
            return self.fail("E0307", f"the word `{word.id}` {reason}", e)
        assert word.span is not None
        hint = self.report.hint(word.id, word.known()) or f"; as a word it {reason}"
        self.report.error("E0201", f"unknown name `{word.id}`{hint}", word.span, related=used_here(self.uses))
        return POISON

    def _call(self, e: tree.Call) -> Value:
        name = e.callee.spelled
        if name not in FUNCTIONS:
            return self.fail("E0202", no_function(name, self.report), e.callee)
        if any(a.name for a in e.arguments):
            return self.fail("E0301", f"the arguments of `{name}` have no names", e)
        self.spend(len(e.arguments), e)
        numbers: list[int | float] = []
        for value in [self.number(a.value) for a in e.arguments]:
            if isinstance(value, Poison):
                return POISON
            numbers.append(value)
        if len(numbers) < 2 if name in ("min", "max") else len(numbers) != 1:
            wanted = "two or more numbers" if name in ("min", "max") else "one number"
            return self.fail("E0303", f"`{name}` takes {wanted}, {len(numbers)} given", e)
        return self._result(apply(name, numbers), e)


def no_function(name: str, report: Report) -> str:
    """What is wrong with a call in an expression."""
    return f"`{name}` is no function; there are {', '.join(FUNCTIONS)}{report.hint(name, FUNCTIONS)}"


def imported_file(alias: str) -> str:
    """What is wrong with the prefix of an import where a value is needed."""
    return f"`{alias}` is an imported file; write `{alias}.NAME` for a `let` in it"


def is_within(part: Span, whole: Span) -> bool:
    """Whether a part of a text lies in another."""
    return part.source is whole.source and whole.start <= part.start and part.end <= whole.end


def is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def kind(value: Value) -> str:
    """What a value may be compared with: values of the same kind."""
    return "number" if is_number(value) else type(value).__name__
