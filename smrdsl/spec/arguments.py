"""Binds the arguments of a call: to the parameters of a component or model, or to the pydantic model of an operator.

What pydantic refuses is told in the user's terms, at the argument, with the words or the range that is allowed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

from pydantic import ValidationError

from smrdsl.core.errors import Fix, Related, Report
from smrdsl.core.source import Span
from smrdsl.ops.contract import Operator, Params
from smrdsl.spec.evaluate import Evaluator, is_within
from smrdsl.spec.slots import Slot, slots
from smrdsl.spec.values import POISON, Poison, Word, describe
from smrdsl.syntax import tree

MOST_NAMES = 20
"""How many names a message says in a row."""


def pair_up(
    arguments: tuple[tree.Argument, ...], names: Collection[str], what: str, report: Report
) -> dict[str, tree.Argument] | None:
    """Argument for each name that is given one; None after a mistake. `names` stand in their order."""
    given: dict[str, tree.Argument] = {}
    order = list(islice(names, len(arguments)))
    failed = named = False
    for index, argument in enumerate(arguments):
        name, problem = argument.name, None
        if name is None and named:
            problem = ("E0303", "an argument without a name follows one with a name")
        elif name is None and index >= len(names):
            takes = f"{len(names)} argument{'s' * (len(names) != 1)}" if names else "no arguments"
            problem = ("E0303", f"{what} takes {takes}, this is number {index + 1}")
        elif name is not None and name not in names:
            hint = report.hint(name, names) or f"; it has {some(names)}"
            problem = ("E0301", f"unknown argument `{name}` of {what}{hint}")
        else:
            name = name or order[index]
            if name in given:
                problem = ("E0303", f"argument `{name}` of {what} is given twice")
        named = named or argument.name is not None
        if problem:
            failed = True
            report.error(*problem, argument_name_span(argument))
        else:
            given[name] = argument  # type: ignore[index]
    return None if failed else given


def some(names: Collection[str]) -> str:
    """Names in a row, of many the first, or "none"."""
    shown = [*islice(names, MOST_NAMES), *["..."] * (len(names) > MOST_NAMES)]
    return ", ".join(shown) or "none"


def argument_name_span(argument: tree.Argument) -> Span:
    """The name of a named argument, all of a positional one."""
    if argument.name is None:
        return argument.span
    return Span(argument.span.source, argument.span.start, argument.span.start + len(argument.name))


def operator_params(
    op: Operator,
    step: tree.Step | tree.Call,
    evaluator: Evaluator,
    related: list[Related],
    arguments: tuple[tree.Argument, ...] | None = None,
) -> tuple[Params, dict[str, Span]] | None:
    """The checked arguments of an operator with the place of each, None after a mistake."""
    report, table = evaluator.report, slots(op.params)
    written = step.arguments if arguments is None else arguments
    given = pair_up(written, table, f"`{op.name}`", report)
    if given is None:
        return None
    problem = missing(op, given)
    if problem:
        report.error("E0302", problem, step.callee.span, related=related)
        return None
    values = {n: argument_value(table[n], a.value, evaluator, op.name) for n, a in given.items()}
    if any(isinstance(v, Poison) for v in values.values()):
        return None
    places = {n: a.value.span for n, a in given.items()}
    try:
        return _validated(op, values), places
    except ValidationError as error:
        _tell(error.errors(include_url=False), op, places, step.callee.span, report, related)
        return None


def missing(op: Operator, given: Collection[str]) -> str | None:
    """What to say about arguments that an operator needs and that are not given."""
    needed = [s for s in slots(op.params).values() if s.required and s.name not in given]
    names = " and ".join(f"`{s.name}` ({s.wanted()})" for s in needed)
    return f"`{op.name}` needs its argument{'s' * (len(needed) > 1)} {names}" if needed else None


def check_literals(op: Operator, given: Mapping[str, tree.Argument], evaluator: Evaluator, callee: Span) -> None:
    """Tell what is wrong with arguments whose values the text says, whether or not the step is ever expanded."""
    table = slots(op.params)
    values = {n: argument_value(table[n], a.value, evaluator, op.name) for n, a in given.items()}
    values = {n: v for n, v in values.items() if not isinstance(v, Poison)}
    try:
        op.params(**values)
    except ValidationError as error:
        told = [
            item
            for item in error.errors(include_url=False)
            if item["type"] != "missing" and (item["loc"] or len(values) == len(given))
        ]
        places = {n: a.value.span for n, a in given.items()}
        _tell(told, op, places, callee, evaluator.report, [])


_memo: dict[Any, Params] = {}


def _validated(op: Operator, values: Mapping[str, Any]) -> Params:
    """The pydantic model; equal calls share one, since layers repeat."""
    key = (op.params, tuple((n, type(v), repr(v)) for n, v in values.items()))
    if key not in _memo:
        if len(_memo) > 10_000:
            _memo.clear()
        _memo[key] = op.params(**values)
    return _memo[key]


def argument_value(slot: Slot, e: tree.Expression, evaluator: Evaluator, op: str) -> Any:
    """The value of an argument; a member of its words is always the member, and a label needs no other meaning."""
    if isinstance(e, tree.Name) and e.id in slot.words:
        return e.id
    if isinstance(e, tree.Name) and slot.label:
        scope = evaluator.scope.find(e.id)
        passed_on = scope.names[e.id] if scope else None
        return passed_on.id if isinstance(passed_on, Word) else e.id
    value = evaluator.value(e)
    if isinstance(value, Word):
        return _word(slot, value, e, evaluator, op)
    if isinstance(value, Poison):
        return POISON
    if isinstance(value, list):
        evaluator.spend(len(value), e)  # it is read anew, however short its name is
    if isinstance(value, float) and int in slot.kinds and float not in slot.kinds:
        message = f"argument `{slot.name}` of `{op}` is a whole number, this is {describe(value)}"
        return evaluator.fail("E0304", message + to_whole(e, value), e)
    kind = type(value)
    if kind in slot.kinds or (kind is int and float in slot.kinds):
        return value
    hint = ""
    if isinstance(value, str) and value in slot.words:
        hint = f"; write {value} without quotes"
    message = f"argument `{slot.name}` of `{op}` takes {slot.wanted()}, this is {describe(value)}{hint}"
    return evaluator.fail("E0304", message, e)


def to_whole(e: tree.Expression, value: float) -> str:
    """How a real number could be written whole."""
    if isinstance(e, tree.Binary) and e.operator == "/":
        return "; `/` gives a real, write `//` to divide to a whole number"
    return f"; write {int(value)}" if value == int(value) and isinstance(e, tree.Number) else ""


def _word(slot: Slot, word: Word, e: tree.Expression, evaluator: Evaluator, op: str) -> str | Poison:
    if word.id in slot.words or slot.label:
        return word.id
    if not slot.words:
        return evaluator.unknown(word, e, slot.wanted())
    report, span = evaluator.report, word.span or e.span
    near = report.nearest(word.id, (*slot.words, *word.known()))
    hint = f", did you mean `{near}`?" if near else f"; it takes {slot.wanted()}"
    message = f"`{word.id}` is no word for argument `{slot.name}` of `{op}`{hint}"
    fix = Fix(f"write `{near}`", span, near) if near else None
    related = [] if is_within(span, e.span) else [Related(f"argument `{slot.name}` of `{op}`", e.span)]
    report.error("E0306", message, span, related=related, fix=fix)
    return POISON


LIMITS = {"greater_than": "above", "greater_than_equal": "at least", "less_than": "below",
          "less_than_equal": "at most", "multiple_of": "a multiple of"}  # fmt: skip


def _tell(
    found: list[Any],
    op: Operator,
    places: Mapping[str, Span],
    whole: Span,
    report: Report,
    related: list[Related],
) -> None:
    """Each mistake that pydantic found, in words, at its argument."""
    table = slots(op.params)
    for item in found:
        name = str(item["loc"][0]) if item["loc"] else ""
        span = places.get(name, whole)
        if item["type"] in LIMITS:
            (bound,) = item["ctx"].values()
            shown = describe(item["input"])
            message = f"argument `{name}` of `{op.name}` must be {LIMITS[item['type']]} {bound:g}, this is {shown}"
            report.error("E0305", message, span, related=related)
        elif item["type"] == "value_error":
            reason = str(item["ctx"]["error"])
            code = "E0305" if name else "E0309"
            report.error(code, f"{op.name}: {reason}", span, related=related)
        else:
            wanted = table[name].wanted() if name in table else "something else"
            message = (
                f"argument `{name}` of `{op.name}` takes {wanted}, and {describe(item['input'])} does not fit there"
            )
            report.error("E0304", message, span, related=related)
