"""Expansion: a block becomes nodes. Statements are read in their order, each with the stream that the last one left.

What a step stands for is in the files beside this one: `components`, `combine`, `turns` (repeat and when) and `flows`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from smrdsl.core.errors import Related, Report
from smrdsl.core.source import Span
from smrdsl.ops.contract import Operator, Params
from smrdsl.spec.arguments import operator_params
from smrdsl.spec.combine import combine
from smrdsl.spec.components import expand_body, expand_component
from smrdsl.spec.evaluate import Evaluator
from smrdsl.spec.flows import Flows
from smrdsl.spec.limits import BLOCKS, Budget, Limits, Spent
from smrdsl.spec.paths import plain
from smrdsl.spec.turns import expand_repeat, expand_when
from smrdsl.spec.units import Unit
from smrdsl.spec.values import LOST, Scope, Stream
from smrdsl.spec.walk import COMBINATORS
from smrdsl.spec.wiring import Node, Place, Wiring
from smrdsl.syntax import tree


@dataclass(slots=True)
class Expander:
    """Writes the nodes of one model into a wiring. What takes `it`, the stream that enters, gives what leaves."""

    report: Report
    wiring: Wiring
    limits: Limits
    ops: dict[str, Operator]
    budget: Budget
    nested: int = 0
    """Blocks around the one that is read."""

    def block(self, b: tree.Block, scope: Scope, place: Place, it: Stream | None, unit: Unit) -> Stream | None:
        """Expand a block in a scope of its own."""
        if self.nested >= BLOCKS * self.limits.depth:
            message = f"blocks are nested more than {BLOCKS * self.limits.depth} deep, components put in"
            self.report.error("E0704", message, b.span, related=place.related()[:3])
            raise Spent
        self.nested += 1
        leaves = self.statements(b, scope.inner(), place, it, unit)
        self.nested -= 1
        return leaves

    def statements(self, b: tree.Block, scope: Scope, place: Place, it: Stream | None, unit: Unit) -> Stream | None:
        """Expand the statements of a block in their order; what they define is in `scope` afterwards."""
        for statement in b.statements:
            self.budget.spend(1, statement.span)
            it = self._statement(statement, scope, place, it, unit)
        return it

    def evaluator(self, scope: Scope, place: Place, it: Stream | None, unit: Unit) -> Evaluator:
        return Evaluator(scope, self.report, unit, it, place.uses, self.budget)

    def lost(self) -> Stream:
        """The stream behind a mistake, after which the model is not complete."""
        self.wiring.complete = False
        return LOST

    def _statement(self, s: tree.Statement, scope: Scope, place: Place, it: Stream | None, unit: Unit) -> Stream | None:
        match s:
            case tree.Let():
                value = self.evaluator(scope, place, it, unit).value(s.value)
                scope.names.setdefault(s.name.id, value)
            case tree.Require():
                self._require(s, scope, place, it, unit)
            case tree.Tap():
                tapped = Flows(self, scope, place, it, unit).stream(s.flow)
                tapped = replace(tapped, mirrors=place.mirrors, around=len(place.regions))
                scope.names.setdefault(s.name.id, tapped)
            case tree.SetIt():
                return Flows(self, scope, place, it, unit).stream(s.flow)
            case tree.Step():
                return self.step(s, scope, place, it, unit)
            case tree.Repeat():
                return expand_repeat(self, s, scope, place, it, unit)
            case tree.When():
                return expand_when(self, s, scope, place, it, unit)
            case tree.Body():
                return expand_body(self, s, scope, place, it)
        return it  # branches and edits are elsewhere; misplaced ones were reported by names.py

    def _require(self, s: tree.Require, scope: Scope, place: Place, it: Stream | None, unit: Unit) -> None:
        if self.evaluator(scope, place, it, unit).truth(s.condition) is False:
            at = place.uses[-1] if place.uses else s.span
            related = [Related("required here", s.span)] if place.uses else []
            self.report.error("E0308", s.message.value, at, related=related)

    # --- steps

    def step(self, s: tree.Step, scope: Scope, place: Place, it: Stream | None, unit: Unit) -> Stream | None:
        """An operator, a component or a combinator."""
        component = unit.component(s.callee)
        if component is not None:
            return expand_component(self, s, component, scope, place, it, unit)
        op = self.ops.get(s.callee.id) if isinstance(s.callee, tree.Name) else None
        if op is not None and op.name in COMBINATORS:
            return combine(self, s, op, scope, place, it, unit)
        if op is None or op.structural or len(op.streams) > 1:
            self.path(s.label, plain(s.callee.spelled), place, s.span)  # so that later ones keep their names
            return self.lost()  # names.py reported it
        evaluator = self.evaluator(scope, place, it, unit)
        return self.operator(s, op, evaluator, place, [it] if op.streams else [])

    def path(self, label: tree.Name | None, name: str, place: Place, span: Span) -> tuple[str, ...]:
        """The path of a step: its label, or its name with a number."""
        if label is None:
            return self.wiring.paths.name(place.prefix, name, span)
        path, taken = self.wiring.paths.label(place.prefix, label.id, label.span)
        if taken is not None:
            message, related = label_taken(label, taken, place)
            self.report.error("E0204", message, label.span, related=related)
        return path

    def operator(
        self,
        s: tree.Step | tree.Call,
        op: Operator,
        evaluator: Evaluator,
        place: Place,
        inputs: list[Stream | None],
        arguments: tuple[tree.Argument, ...] | None = None,
    ) -> Stream:
        """Put in one node, its arguments checked."""
        label = s.label if isinstance(s, tree.Step) else None
        path = self.path(label, op.name, place, s.callee.span)
        bound = operator_params(op, s, evaluator, place.related(), arguments)
        if None in inputs:
            return self.no_stream(op.name, s.span, place)
        streams = [i for i in inputs if i is not None]
        if bound is None or any(i.key not in self.wiring.nodes for i in streams):
            return self.lost()
        return self._add(path, op, bound[0], streams, s.span, place, label.id if label else None, bound[1])

    def no_stream(self, name: str, span: Span, place: Place) -> Stream:
        """Report a step before the input."""
        message = f"`{name}` needs a stream; a model starts with `signal(...)` or `tokens(...)`"
        self.report.error("E0404", message, span, related=place.related())
        return self.lost()

    def structural(
        self,
        name: str,
        params: dict[str, object],
        inputs: list[Stream],
        span: Span,
        place: Place,
        given: Params | None = None,
    ) -> Stream:
        """Put in a node that a construct of the language stands for."""
        if not inputs or any(i.key not in self.wiring.nodes for i in inputs):
            return self.lost()
        op = self.ops[name]
        path = self.wiring.paths.name(place.prefix, name, span)
        return self._add(path, op, given or op.params(**params), inputs, span, place)

    def _add(
        self,
        path: tuple[str, ...],
        op: Operator,
        params: Params,
        inputs: list[Stream],
        span: Span,
        place: Place,
        label: str | None = None,
        arguments: dict[str, Span] | None = None,
    ) -> Stream:
        taps = {port: i.around for port, i in enumerate(inputs) if i.around is not None}
        keys = [i.key for i in inputs]
        node = Node(".".join(path), op, params, keys, span, place, label, arguments or {}, taps)
        return self.wiring.add(node)


def label_taken(label: tree.Name, taken: Span, place: Place) -> tuple[str, list[Related]]:
    """What to say about a label that is not unique in its path, and with what places."""
    if taken == label.span:
        return f"what is labelled `{label.id}` stands in one path more than once", place.related()
    related = [Related("the first here" if taken.text == label.id else "by this", taken)]
    return f"the label `{label.id}` is taken in this path", [*related, *place.related()]
