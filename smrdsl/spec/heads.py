"""Heads: what parameters a component or model has, and their values; for models, along a chain of `extends`.

A twin without a parameter list has the parameters of its base, less those that it gives; one with a list has just that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from smrdsl.core.errors import Diagnostic, Report
from smrdsl.core.source import Span
from smrdsl.spec.arguments import pair_up, some
from smrdsl.spec.cycles import around
from smrdsl.spec.evaluate import Evaluator
from smrdsl.spec.limits import Budget
from smrdsl.spec.units import Unit
from smrdsl.spec.values import POISON, Scope, Value
from smrdsl.spec.walk import names_in
from smrdsl.syntax import tree

Chain = list[tuple[tree.Model, Unit]]
Given = Mapping[str, tuple[tree.Expression, Evaluator]]
"""What is given for a parameter: an expression, and who evaluates it."""
DEEPEST = 64
"""How often what is given for one parameter may lead to what is given for another."""


@dataclass(slots=True)
class Head:
    """Gives the parameters of a component or model their values, in the scope of `callee`.

    What is given is evaluated where it was written; a default in the callee's scope, where earlier parameters are seen.
    A twin may give what mentions the parameters that it leaves open, so these are looked for when they are asked for.
    """

    parameters: tuple[tree.Parameter, ...]
    given: Given
    what: str
    callee: Evaluator
    span: Span
    overrides: Mapping[str, Value] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def bind(self) -> None:
        """Fill the callee's scope."""
        if self.callee.budget:
            self.callee.budget.spend(len(self.parameters), self.span)
        waiting = {p.name.id: p for p in self.parameters}
        for name in list(waiting):
            self._bind(name, waiting)

    def _bind(self, name: str, waiting: dict[str, tree.Parameter]) -> None:
        """Bind a parameter, and before it those that what is given for it mentions."""
        parameter = waiting.pop(name, None)
        if parameter is None:
            return
        self._open.append(name)
        expression, evaluator = self.given.get(name) or (parameter.default, self.callee)
        inside = evaluator.scope.names is self.callee.scope.names and name not in self.overrides
        for mentioned in names_in(expression) if expression and inside else ():
            if mentioned.id in self._open:
                ring = self._open[self._open.index(mentioned.id) :]
                self._refuse("E0207", f"these parameters need each other: {around(ring)}", mentioned)
            elif mentioned.id in waiting and len(self._open) >= DEEPEST:
                self._refuse("E0704", f"one parameter needs another more than {DEEPEST} times in a row", mentioned)
            else:
                self._bind(mentioned.id, waiting)
        self._open.pop()
        self.callee.scope.names.setdefault(name, self._value(parameter, expression, evaluator))

    def _value(self, parameter: tree.Parameter, expression: tree.Expression | None, evaluator: Evaluator) -> Value:
        name = parameter.name.id
        if name in self.overrides:
            return self.overrides[name]
        if expression is not None:
            return evaluator.value(expression)
        self.callee.report.error("E0302", f"{self.what} needs its argument `{name}`", self.span)
        return POISON

    def _refuse(self, code: str, message: str, mentioned: tree.Name) -> None:
        """Report parameters whose values lead back to themselves, or on without end."""
        self.callee.report.error(code, message, mentioned.span)
        self.callee.scope.names[mentioned.id] = POISON


def bind_chain(chain: Chain, overrides: Mapping[str, Value], report: Report, budget: Budget) -> list[Scope] | None:
    """The scope of each model of a chain, from the twin to its base. None after a mistake."""
    steps = _pair_chain(chain, report)
    if steps is None:
        return None
    names = steps[0][0]
    for name in overrides:
        if name not in names:
            hint = report.hint(name, names) or f"; it has {some(names)}"
            message = f"model `{chain[0][0].name.id}` has no parameter `{name}`{hint}"
            report.add(Diagnostic("E0301", message, file=chain[0][0].span.source.path))
            return None
    scopes: list[Scope] = []
    given: Given = {}
    shared: dict[str, Value] = {}
    for (model, unit), (_, paired) in zip(chain, steps, strict=True):
        scope = Scope(unit.lets, shared)
        scopes.append(scope)
        evaluator = Evaluator(scope, report, unit, budget=budget)
        if model.base is None or model.parameters is not None:
            what = f"model `{model.name.id}`"
            Head(model.parameters or (), given, what, evaluator, model.name.span, overrides).bind()
            given, overrides, shared = {}, {}, {}
        given = {**given, **{n: (a.value, evaluator) for n, a in paired.items()}}
    return scopes


def _pair_chain(chain: Chain, report: Report) -> list[tuple[list[str], dict[str, tree.Argument]]] | None:
    """For each model the parameters that may be given to it, and what it gives to its base. None after a mistake."""
    steps: list[tuple[list[str], dict[str, tree.Argument]]] = []
    names: list[str] = []
    for index in reversed(range(len(chain))):
        model = chain[index][0]
        paired: dict[str, tree.Argument] | None = {}
        if model.base is not None:
            base = chain[index + 1][0].name.id
            paired = pair_up(model.arguments, dict.fromkeys(names), f"model `{base}`", report)
        if paired is None:
            return None
        if model.base is None or model.parameters is not None:
            names = [p.name.id for p in model.parameters or ()]
        else:
            names = [n for n in names if n not in paired]
        steps.append((names, paired))
    return steps[::-1]
