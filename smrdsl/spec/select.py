"""Select: what an edit is about, and what its condition and its arguments see there.

They see, in this order, the indices of enclosing repeats, the arguments of what is selected, and the model's parameters
and lets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from smrdsl.core.errors import Report
from smrdsl.core.source import Span
from smrdsl.ops.registry import families
from smrdsl.spec.evaluate import Evaluator
from smrdsl.spec.limits import Budget
from smrdsl.spec.slots import slots
from smrdsl.spec.units import Unit
from smrdsl.spec.values import Poison, Scope, Stream, Value, Word
from smrdsl.spec.walk import names_in
from smrdsl.spec.wiring import Node, Region, Target, Wiring
from smrdsl.syntax import tree

NOT_THERE = object()


@dataclass(slots=True)
class Selection:
    """What one edit selects; `scope` holds the model's parameters and lets."""

    wiring: Wiring
    report: Report
    unit: Unit
    scope: Scope
    budget: Budget
    edit: tree.Edit
    found: list[Target] = field(default_factory=list)
    """All that the selector names, whatever the condition says."""
    _known: frozenset[str] | None = None

    def targets(self) -> list[Target]:
        """What the edit is about; an error where the selector matches nothing, a warning where the condition does."""
        selector, condition = self.edit.selector, self.edit.condition
        named = self._named(selector.name, selector.span)
        self.budget.spend(1 + len(named) // 3, selector.span)
        self.found = [t for t in named if isinstance(t, Node) or t.members]
        if not self.found and self.wiring.complete:
            self._nothing(selector, bool(named))
        if condition is None or not self.found:
            return self.found
        told = self.report.told
        chosen = self._where(condition)
        if not chosen and self.wiring.complete and self.report.told == told:
            self._none_left(condition)
        return chosen

    def _named(self, written: str, span: Span) -> list[Target]:
        """What a name selects: an operator's, a label, a component's, with its prefix too, or a family."""
        alias, _, name = written.rpartition(".")
        if not alias:
            return self.wiring.named((name, *families().get(name, ())))
        component = self.unit.component(tree.Dotted(alias, name, span=span))
        if component is None:
            return []
        return [t for t in self.wiring.named((name,)) if isinstance(t, Region) and t.definition is component[0]]

    def _nothing(self, selector: tree.Selector, emptied: bool) -> None:
        if emptied:
            message = f"`{selector.name}` has no steps in this model, so there is nothing to edit"
        else:
            known = (*self.wiring.names(), *families(), *self.unit.component_names())
            names = [name for name in known if self._named(name, selector.span)]
            message = f"`{selector.name}` selects nothing in this model{self.report.hint(selector.name, names)}"
        self.report.error("E0501", message, selector.span)

    # --- the condition

    def _where(self, condition: tree.Expression) -> list[Target]:
        """Those for which the condition holds; equal cases are decided once."""
        asked = list(dict.fromkeys(name.id for name in names_in(condition)))
        open_ones = [name for name in asked if self.scope.find(name) is None]
        decided: dict[Any, bool | Poison] = {}
        chosen: list[Target] = []
        for target in self.found:
            stream = self.entering(target) if "width" in asked else None
            seen = {n: v for n in asked if (v := value_of(target, n)) is not NOT_THERE}
            case = (stream and stream.type, *((n, repr(v)) for n, v in seen.items()))
            holds = decided.get(case)
            if holds is None:
                lacks = any(n not in seen and n in self._known_names() for n in open_ones)
                holds = decided[case] = False if lacks else self.evaluator(seen, stream).truth(condition)
            if holds is True:
                chosen.append(target)
        return chosen

    def _none_left(self, condition: tree.Expression) -> None:
        count = len(self.found)
        what = f"the {count} that `{self.edit.selector.name}` selects" if count > 1 else (
            f"what `{self.edit.selector.name}` selects")  # fmt: skip
        message = f"`where` leaves nothing of {what}"
        known = (*self._known_names(), *self.scope.all_names(), "width")
        for name in names_in(condition):
            if name.id not in known and not self._is_word(name.id):
                message += f"; `{name.id}` is no name there{self.report.hint(name.id, known)}"
                break
        self.report.error("E0502", message, condition.span, severity="warning")

    def _is_word(self, name: str) -> bool:
        """Whether an argument of something selected takes this word."""
        kinds = {type(t.params) for t in self.found if isinstance(t, Node)}
        regions = any(isinstance(t, Region) for t in self.found)
        return regions or any(name in s.words or s.label for kind in kinds for s in slots(kind).values())

    # --- what is seen

    def evaluator(self, seen: dict[str, Value], stream: Stream | None) -> Evaluator:
        return Evaluator(Scope(self.scope, seen), self.report, self.unit, stream, budget=self.budget)

    def for_arguments(self, step: tree.Step, target: Target, stream: Stream | None) -> Evaluator | None:
        """Who evaluates the arguments of the operator that an edit brings to a target; None after a mistake."""
        seen: dict[str, Value] = {}
        for name in names_of(a.value for a in step.arguments):
            value = value_of(target, name.id)
            if value is not NOT_THERE:
                seen[name.id] = value
            elif self.scope.find(name.id) is None and name.id in self._known_names():
                selected = f"some that `{self.edit.selector.name}` selects"
                message = f"{selected} have no `{name.id}`; leave them out with `where`"
                self.report.error("E0201", message, name.span)
                return None
        return self.evaluator(seen, stream)

    def entering(self, target: Target) -> Stream | None:
        """The stream that enters a target; None for an input."""
        key = target.entering if isinstance(target, Region) else next(iter(target.inputs), "")
        node = self.wiring.nodes.get(key)
        return Stream(key, node.type) if node else None

    def _known_names(self) -> frozenset[str]:
        """The names that some of the selected have: indices and arguments."""
        if self._known is None:
            names: set[str] = set()
            kinds: set[type] = set()
            for t in self.found:
                names.update(t.place.indices)
                if isinstance(t, Region):
                    names.update(t.arguments)
                elif type(t.params) not in kinds:
                    kinds.add(type(t.params))
                    names.update(slots(type(t.params)))
            self._known = frozenset(names)
        return self._known


def names_of(expressions: Iterable[tree.Expression]) -> list[tree.Name]:
    """The bare names of several expressions."""
    return [name for e in expressions for name in names_in(e)]


def value_of(target: Target, name: str) -> Any:
    """What a condition sees of a target under a name: an index, else an argument; NOT_THERE where it has neither."""
    if name in target.place.indices:
        return target.place.indices[name]
    if isinstance(target, Region):
        return target.arguments.get(name, NOT_THERE)
    slot = slots(type(target.params)).get(name)
    if slot is None:
        return NOT_THERE
    value = getattr(target.params, name)
    if value is None and name == "width":
        return NOT_THERE  # that of the stream, which `width` then is
    return Word(value) if isinstance(value, str) and (slot.words or slot.label) else value
