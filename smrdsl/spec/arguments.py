"""Binds the arguments of a call: to the parameters of a component or model, or to the pydantic model of an operator.

What pydantic refuses is told in the user's terms, at the argument, with the words or the range that is allowed.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError

from smrdsl.core.errors import Fix, Related, Report, did_you_mean
from smrdsl.core.source import Span
from smrdsl.ops.contract import Family, LabelOf, Operator, Params, Range
from smrdsl.ops.registry import families
from smrdsl.spec.evaluate import Evaluator
from smrdsl.spec.values import POISON, Poison, Value, Word, describe
from smrdsl.syntax import tree


@dataclass(frozen=True, slots=True)
class Slot:
    """What one argument of an operator takes."""

    name: str
    kinds: frozenset[type]
    words: tuple[str, ...]
    label: bool
    required: bool

    def wanted(self) -> str:
        """What is allowed, in words."""
        names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text",
                 Range: "a range low..high", list: "a list"}  # fmt: skip
        parts = [n for kind, n in names.items() if kind in self.kinds]
        if self.words:
            parts.append(("one of " if len(self.words) > 1 else "") + ", ".join(self.words))
        if self.label:
            parts.append("the label of a step")
        if type(None) in self.kinds:
            parts.append("none")
        return " or ".join(parts)


def _slot(name: str, annotation: Any, metadata: list[Any], required: bool) -> Slot:
    kinds: set[type] = set()
    words: list[str] = []
    marks = list(metadata)

    def walk(a: Any) -> None:
        origin = get_origin(a)
        if origin is Annotated:
            inner, *more = get_args(a)
            marks.extend(more)
            walk(inner)
        elif origin is Literal:
            words.extend(get_args(a))
        elif origin in (Union, types.UnionType):
            for part in get_args(a):
                walk(part)
        else:
            kinds.add(list if origin in (list, tuple) else a)

    walk(annotation)
    family = next((m for m in marks if isinstance(m, Family)), None)
    label = any(isinstance(m, LabelOf) for m in marks)
    if family:
        words.extend(families()[family.name])
    if family or label:
        kinds.discard(str)
    return Slot(name, frozenset(kinds), tuple(words), label, required)


@cache
def slots(params: type[Params]) -> dict[str, Slot]:
    """The arguments of an operator in their positional order."""
    return {name: _slot(name, f.annotation, f.metadata, f.is_required()) for name, f in params.model_fields.items()}


def pair_up(
    arguments: tuple[tree.Argument, ...], names: list[str], what: str, report: Report, span: Span
) -> dict[str, tree.Argument] | None:
    """Argument for each name that is given one; None after a mistake."""
    given: dict[str, tree.Argument] = {}
    failed = False
    for index, argument in enumerate(arguments):
        name, problem = argument.name, None
        if name is None and any(a.name for a in arguments[:index]):
            problem = ("E0303", "an argument without a name follows one with a name")
        elif name is None and index >= len(names):
            takes = f"{len(names)} argument{'s' * (len(names) != 1)}" if names else "no arguments"
            problem = ("E0303", f"{what} takes {takes}, this is number {index + 1}")
        elif name is not None and name not in names:
            known = f"; it has {', '.join(names)}" if names else "; it has none"
            hint = did_you_mean(name, names) or known
            problem = ("E0301", f"unknown argument `{name}` of {what}{hint}")
        else:
            name = name or names[index]
            if name in given:
                problem = ("E0303", f"argument `{name}` of {what} is given twice")
        if problem:
            failed = True
            report.error(*problem, argument_name_span(argument))
        else:
            given[name] = argument  # type: ignore[index]
    return None if failed else given


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
    given = pair_up(written, list(table), f"`{op.name}`", report, step.span)
    if given is None:
        return None
    missing = [s.name for s in table.values() if s.required and s.name not in given]
    if missing:
        names = " and ".join(f"`{m}` ({table[m].wanted()})" for m in missing)
        message = f"`{op.name}` needs its argument {names}"
        report.error("E0302", message, step.callee.span, related=related)
        return None
    values = {n: argument_value(table[n], a.value, evaluator, op.name) for n, a in given.items()}
    if any(isinstance(v, Poison) for v in values.values()):
        return None
    places = {n: a.value.span for n, a in given.items()}
    try:
        return _validated(op, values), places
    except ValidationError as error:
        _tell(error, op, table, places, values, step.callee.span, report, related)
        return None


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
    """The value of an argument; a member of its words is always the member."""
    if isinstance(e, tree.Name) and (e.id in slot.words or slot.label):
        return e.id
    value = evaluator.value(e)
    if isinstance(value, Word):
        return _word(slot, value, evaluator, op)
    if isinstance(value, Poison):
        return POISON
    if isinstance(value, float) and int in slot.kinds and float not in slot.kinds:
        fix = ""
        if isinstance(e, tree.Binary) and e.operator == "/":
            fix = "; `/` gives a real, write `//` to divide to a whole number"
        elif value == int(value):
            fix = f"; write {int(value)}"
        message = f"argument `{slot.name}` of `{op}` is a whole number, this is {describe(value)}{fix}"
        evaluator.report.error("E0304", message, e.span)
        return POISON
    kind = type(value)
    if kind in slot.kinds or (kind is int and float in slot.kinds):
        return value
    hint = ""
    if isinstance(value, str) and value in slot.words:
        hint = f"; write {value} without quotes"
    message = f"argument `{slot.name}` of `{op}` takes {slot.wanted()}, this is {describe(value)}{hint}"
    evaluator.report.error("E0304", message, e.span)
    return POISON


def _word(slot: Slot, word: Word, evaluator: Evaluator, op: str) -> str | Poison:
    if word.id in slot.words or slot.label:
        return word.id
    if not slot.words:
        return evaluator.unknown(word)
    hint = did_you_mean(word.id, slot.words) or f"; it takes {slot.wanted()}"
    message = f"`{word.id}` is no word for argument `{slot.name}` of `{op}`{hint}"
    near = did_you_mean(word.id, slot.words)
    fix = Fix(f"write `{near.split('`')[1]}`", word.span, near.split("`")[1]) if near else None
    evaluator.report.error("E0306", message, word.span, fix=fix)
    return POISON


LIMITS = {"greater_than": "above", "greater_than_equal": "at least", "less_than": "below",
          "less_than_equal": "at most", "multiple_of": "a multiple of"}  # fmt: skip


def _tell(
    error: ValidationError,
    op: Operator,
    table: Mapping[str, Slot],
    places: Mapping[str, Span],
    values: Mapping[str, Any],
    whole: Span,
    report: Report,
    related: list[Related],
) -> None:
    """Each mistake that pydantic found, in words, at its argument."""
    for item in error.errors(include_url=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        span, context = places.get(name, whole), item.get("ctx", {})
        if item["type"] in LIMITS:
            (bound,) = context.values()
            shown = describe(values.get(name, bound))
            message = f"argument `{name}` of `{op.name}` must be {LIMITS[item['type']]} {bound:g}, this is {shown}"
            report.error("E0305", message, span, related=related)
        elif item["type"] == "value_error":
            reason = str(context["error"])
            code = "E0305" if name else "E0309"
            report.error(code, f"{op.name}: {reason}", span, related=related)
        else:
            wanted = table[name].wanted() if name in table else "something else"
            message = f"argument `{name}` of `{op.name}` takes {wanted}: {item['msg']}"
            report.error("E0304", message, span, related=related)


Given = Mapping[str, tuple[tree.Expression, Evaluator]]
"""What is given for a parameter: an expression, and who evaluates it."""


def bind_parameters(
    parameters: tuple[tree.Parameter, ...],
    given: Given,
    what: str,
    callee: Evaluator,
    span: Span,
    overrides: Mapping[str, Value] | None = None,
) -> None:
    """Give the parameters of a component or model their values, in the callee's scope.

    What is given is evaluated where it was written; a default in the callee's scope, where earlier parameters are seen.
    """
    overrides = overrides or {}
    for p in parameters:
        name = p.name.id
        if name in overrides:
            value: Value = overrides[name]
        elif name in given:
            expression, caller = given[name]
            value = caller.value(expression)
        elif p.default is not None:
            value = callee.value(p.default)
        else:
            callee.report.error("E0302", f"{what} needs its argument `{name}`", span)
            value = POISON
        callee.scope.names[name] = value
