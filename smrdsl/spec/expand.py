"""Expansion: a block becomes nodes. Components are put in, repeats unrolled, `when` decided, bodies put in their place.

`block` takes the stream that enters and gives the one that leaves. Everything is counted: nodes against the limit, and
statements, so that a loop over nothing ends too.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from smrdsl.core.errors import Related, Report, SpecError
from smrdsl.core.source import Span
from smrdsl.ops.contract import Operator
from smrdsl.ops.registry import operators
from smrdsl.spec.arguments import bind_parameters, operator_params, pair_up
from smrdsl.spec.combine import COMBINATORS, combine
from smrdsl.spec.evaluate import Evaluator
from smrdsl.spec.files import Unit
from smrdsl.spec.flows import Flows
from smrdsl.spec.limits import Limits
from smrdsl.spec.names import written_names
from smrdsl.spec.values import LOST, BodyOf, Poison, Scope, Stream, Value, Word, describe
from smrdsl.spec.wiring import Node, Place, Region, Wiring
from smrdsl.syntax import tree


@dataclass(slots=True)
class Expander:
    """Writes the nodes of one model into a wiring."""

    report: Report
    wiring: Wiring
    limits: Limits
    ops: dict[str, Operator] = field(default_factory=operators)
    statements: int = 0

    def block(self, b: tree.Block, scope: Scope, place: Place, it: Stream | None, unit: Unit) -> Stream | None:
        """Expand the statements of a block in their order, in a scope of its own."""
        scope = scope.inner()
        for statement in b.statements:
            self._count(statement.span)
            it = self._statement(statement, scope, place, it, unit)
        return it

    def evaluator(self, scope: Scope, unit: Unit, it: Stream | None) -> Evaluator:
        return Evaluator(scope, self.report, unit, it)

    def lost(self) -> Stream:
        """The stream behind a mistake, after which the model is not complete."""
        self.wiring.complete = False
        return LOST

    def _count(self, span: Span) -> None:
        self.statements += 1
        if self.statements > 4 * self.limits.nodes or len(self.wiring.nodes) > self.limits.nodes:
            message = f"the model expands to more than {self.limits.nodes:,} nodes or turns"
            self.report.error("E0702", message, span)
            raise SpecError(self.report.diagnostics)

    def _statement(self, s: tree.Statement, scope: Scope, place: Place, it: Stream | None, unit: Unit) -> Stream | None:
        match s:
            case tree.Let():
                self.define(s.name, self._let(s, scope, unit, it), scope)
            case tree.Require():
                self._require(s, scope, place, it, unit)
            case tree.Tap():
                tapped = Flows(self, scope, place, it, unit).stream(s.flow)
                self.define(s.name, replace(tapped, mirrors=place.mirrors), scope)
            case tree.SetIt():
                return Flows(self, scope, place, it, unit).stream(s.flow)
            case tree.Step():
                return self.step(s, scope, place, it, unit)
            case tree.Repeat():
                return self._repeat(s, scope, place, it, unit)
            case tree.When():
                return self._when(s, scope, place, it, unit)
            case tree.Body():
                return self._body(s, scope, place, it)
        return it  # branches and edits are elsewhere; misplaced ones were reported by names.py

    def define(self, name: tree.Name, value: Value, scope: Scope) -> None:
        scope.names.setdefault(name.id, value)

    def _let(self, s: tree.Let, scope: Scope, unit: Unit, it: Stream | None) -> Value:
        evaluator = self.evaluator(scope, unit, it)
        value = evaluator.value(s.value)
        return evaluator.unknown(value) if isinstance(value, Word) else value

    def _require(self, s: tree.Require, scope: Scope, place: Place, it: Stream | None, unit: Unit) -> None:
        if self.evaluator(scope, unit, it).truth(s.condition) is False:
            at = place.uses[-1] if place.uses else s.span
            related = [Related("required here", s.span)] if place.uses else []
            self.report.error("E0308", s.message.value, at, related=related)

    # --- steps

    def step(self, s: tree.Step, scope: Scope, place: Place, it: Stream | None, unit: Unit) -> Stream | None:
        """An operator, a component or a combinator."""
        component = unit.component(s.callee)
        if component is not None:
            return self._component(s, *component, scope, place, it, unit)
        name = s.callee.id if isinstance(s.callee, tree.Name) else None
        op = self.ops.get(name or "")
        if op is None:
            self._names_only(s, place)
            return self.lost()  # names.py reported it
        if name in COMBINATORS:
            return combine(self, s, op, scope, place, it, unit)
        evaluator = self.evaluator(scope, unit, it)
        inputs = [] if not op.streams else [it]
        return self.operator(s, op, evaluator, place, inputs)

    def _names_only(self, s: tree.Step, place: Place) -> None:
        """Take the name of a step that cannot be expanded, so that later ones keep theirs."""
        if s.label is None:
            self.wiring.name(place.prefix, s.callee.spelled.rpartition(".")[2])

    def path(self, label: tree.Name | None, name: str, place: Place) -> tuple[str, ...]:
        """The path of a step: its label, or its name with a number."""
        if label is None:
            return self.wiring.name(place.prefix, name)
        path = self.wiring.name(place.prefix, label.id)
        if path[-1] != label.id:
            self.report.error("E0204", f"the label `{label.id}` is used twice in this path", label.span)
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
        path = self.path(label, op.name, place)
        bound = operator_params(op, s, evaluator, place.related(), arguments)
        if None in inputs:
            message = f"`{op.name}` needs a stream; a model starts with `signal(...)` or `tokens(...)`"
            self.report.error("E0404", message, s.span)
            return self.lost()
        if bound is None or any(i.key not in self.wiring.nodes for i in inputs):  # type: ignore[union-attr]
            return self.lost()
        params, places = bound
        key = ".".join(path)
        node = Node(key, op, params, [i.key for i in inputs], s.span, place,  # type: ignore[union-attr]
                    label.id if label else None, places)  # fmt: skip
        return self.wiring.add(node)

    def structural(
        self,
        name: str,
        params: dict[str, object],
        inputs: list[Stream],
        span: Span,
        place: Place,
        given: object = None,
    ) -> Stream:
        """Put in a node that a construct of the language stands for."""
        if any(i.key not in self.wiring.nodes for i in inputs):
            return self.lost()
        op = self.ops[name]
        key = ".".join(self.wiring.name(place.prefix, name))
        bound = given or op.params(**params)
        return self.wiring.add(Node(key, op, bound, [i.key for i in inputs], span, place))  # type: ignore[arg-type]

    # --- components and bodies

    def _component(
        self,
        s: tree.Step,
        c: tree.Component,
        home: Unit,
        scope: Scope,
        place: Place,
        it: Stream | None,
        unit: Unit,
    ) -> Stream | None:
        path = self.path(s.label, c.name.id, place)
        if place.depth >= self.limits.depth:
            message = f"components are nested more than {self.limits.depth} deep"
            self.report.error("E0704", message, s.span, related=place.related()[:3])
            return self.lost()
        inner = Scope(home.lets)
        inner.body = BodyOf(s.body, scope, unit) if s.body else None
        caller, what = self.evaluator(scope, unit, it), f"`{c.name.id}`"
        names = [p.name.id for p in c.parameters]
        paired = pair_up(s.arguments, names, what, self.report, s.span)
        if paired is None:
            return self.lost()
        given = {n: (a.value, caller) for n, a in paired.items()}
        bind_parameters(c.parameters, given, what, self.evaluator(inner, home, it), s.callee.span)
        arguments = dict(inner.names)
        called = {c.name.id, s.callee.spelled} | ({s.label.id} if s.label else set())
        region = self.region(frozenset(called), path, "component", s.label is not None, arguments, place, it)
        deeper = replace(place, prefix=path, regions=(*place.regions, region),
                         uses=(*place.uses, s.span), depth=place.depth + 1)  # fmt: skip
        leaves = self.block(c.block, inner, deeper, it, home)
        region.exit = leaves.key if leaves else ""
        return leaves

    def region(
        self,
        names: frozenset[str],
        path: tuple[str, ...],
        kind: str,
        labelled: bool,
        arguments: dict[str, Value],
        place: Place,
        it: Stream | None,
    ) -> Region:
        """Begin a region; whoever calls sets its exit."""
        region = Region(names, path, kind, labelled, arguments, place, it.key if it else "")
        self.wiring.regions.append(region)
        return region

    def labelled(
        self, label: tree.Name | None, kind: str, place: Place, it: Stream | None
    ) -> tuple[Place, Region | None]:
        """The place inside a block that adds nothing to the path unless it is labelled."""
        if label is None:
            return place, None
        path = self.path(label, kind, place)
        region = self.region(frozenset({label.id}), path, kind, True, {}, place, it)
        return replace(place, prefix=path, regions=(*place.regions, region)), region

    def _body(self, s: tree.Body, scope: Scope, place: Place, it: Stream | None) -> Stream | None:
        given = scope.given_body()
        if given is None:
            return it  # names.py or `E0205` at the place of use
        inner, region = self.labelled(s.label, "body", place, it)
        unit = given.unit
        leaves = self.block(given.block, given.scope, inner, it, unit)
        if region:
            region.exit = leaves.key if leaves else ""
        return leaves

    # --- repeat and when

    def _repeat(self, s: tree.Repeat, scope: Scope, place: Place, it: Stream | None, unit: Unit) -> Stream | None:
        path = self.path(s.label, "layers", place)
        count = self._whole(s.count, scope, unit, it)
        names = frozenset({s.label.id} if s.label else ())
        region = self.region(names, path, "repeat", True, {}, place, it) if s.label else None
        regions = (*place.regions, region) if region else place.regions
        for i in range(count):
            self._count(s.span)
            inner = scope.inner()
            indices = {**place.indices}
            if s.index:
                inner.names[s.index.id] = indices[s.index.id] = i
            turn = replace(place, prefix=(*path, str(i)), indices=indices, regions=regions)
            it = self.block(s.block, inner, turn, it, unit)
        if region:
            region.exit = it.key if it else ""
        return it

    def _whole(self, e: tree.Expression, scope: Scope, unit: Unit, it: Stream | None) -> int:
        """How often to repeat; 0 after a mistake."""
        value = self.evaluator(scope, unit, it).number(e)
        if isinstance(value, Poison):
            return 0
        if isinstance(value, float):
            hint = "; write `//` to divide to a whole number"
            self.report.error("E0304", f"`repeat` counts in whole numbers, this is {describe(value)}{hint}", e.span)
            return 0
        if value < 0:
            self.report.error("E0305", f"`repeat` cannot count to {value}", e.span)
            return 0
        return value

    def _when(self, s: tree.When, scope: Scope, place: Place, it: Stream | None, unit: Unit) -> Stream | None:
        place, region = self.labelled(s.label, "when", place, it)
        leaves, chosen = it, False
        for arm in s.arms:
            truth = True
            if arm.condition is not None and not chosen:
                truth = self.evaluator(scope, unit, it).truth(arm.condition)
            if isinstance(truth, Poison):
                return self.lost()
            if truth and not chosen:
                chosen, leaves = True, self.block(arm.block, scope, place, it, unit)
            else:
                self._skip(arm.block, scope, place)
        if region:
            region.exit = leaves.key if leaves else ""
        return leaves

    def _skip(self, block: tree.Block, scope: Scope, place: Place) -> None:
        """Count the names in an arm that was not taken: paths follow the text, not what was chosen."""
        for name in written_names(block, scope.given_body()):
            self.wiring.name(place.prefix, name)
