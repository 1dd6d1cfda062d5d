"""Edits: `place`, `replace`, `remove` and `execute`, applied in their order, each to all that it selects."""

from __future__ import annotations

from dataclasses import dataclass

from smrdsl.core.errors import Related, Report
from smrdsl.core.source import Span
from smrdsl.ops.contract import Operator
from smrdsl.spec.arguments import operator_params
from smrdsl.spec.expand import label_taken
from smrdsl.spec.limits import Budget
from smrdsl.spec.select import Selection
from smrdsl.spec.splice import Splice, entries, leaving
from smrdsl.spec.ties import cut_tie
from smrdsl.spec.units import Unit
from smrdsl.spec.values import Scope, Stream
from smrdsl.spec.walk import COMBINATORS
from smrdsl.spec.wiring import Node, Region, Target, Wiring
from smrdsl.syntax import tree


@dataclass(slots=True)
class Editor:
    """Applies the edits of one model or twin; `scope` holds its parameters and lets."""

    wiring: Wiring
    report: Report
    ops: dict[str, Operator]
    unit: Unit
    scope: Scope
    budget: Budget
    splice: Splice

    def apply(self, edit: tree.Edit) -> None:
        """Apply one edit to all that it selects, then infer the types that it changed."""
        selection = Selection(self.wiring, self.report, self.unit, self.scope, self.budget, edit)
        targets = selection.targets()
        if isinstance(edit, tree.Place | tree.Replace) and not self._brings_operator(edit.step):
            return
        if self._cuts_tie(edit, targets):
            return
        for target in targets:
            if not self._alive(target):
                continue  # went with another target that it was part of
            self.budget.spend(1, edit.span)
            match edit:
                case tree.Place(side="before"):
                    self._before(edit.step, target, selection)
                case tree.Place():
                    self._after(edit.step, target, selection)
                case tree.Replace():
                    self._replace(edit.step, target, selection)
                case tree.Remove():
                    self._remove(target, edit.selector.span)
                case tree.Execute():
                    self._execute(edit, target)
        self.budget.spend(self.splice.settle() // 4, edit.span)

    def _alive(self, target: Target) -> bool:
        if isinstance(target, Region):
            return bool(target.members)
        return self.wiring.nodes.get(target.key) is target

    def _refuse(self, message: str, span: Span, *related: Related) -> None:
        self.report.error("E0503", message, span, related=related)

    # --- what an edit brings

    def _brings_operator(self, step: tree.Step) -> bool:
        """Whether it is one operator over streams; what is none is reported."""
        name, reason = step.callee.spelled, ""
        op = self.ops.get(name)
        if self.unit.component(step.callee) is not None:
            reason = "a component"
        elif op is not None and op.structural:
            reason = "a construct of the language"
        elif op is not None and not op.streams:
            reason = "an input"
        if reason:
            self._refuse(f"an edit brings one operator, and `{name}` is {reason}", step.callee.span)
        return op is not None and not reason

    def _make(
        self, step: tree.Step, target: Target, inputs: list[str], selection: Selection, kept: str | None = None
    ) -> Node | None:
        """A node for `step` at the target, not yet in the wiring, labelled as it says or as was `kept`."""
        name = step.callee.spelled
        op = self.ops[name]
        if len(op.streams) != len(inputs):
            reads = f"{len(op.streams)} stream{'s' * (len(op.streams) != 1)}"
            self._refuse(f"`{name}` reads {reads}, and here it would have {len(inputs)}", step.span)
            return None
        source = self.wiring.nodes[inputs[0]]
        evaluator = selection.for_arguments(step, target, Stream(source.key, source.type))
        bound = evaluator and operator_params(op, step, evaluator, target.place.related())
        if not bound:
            self.wiring.complete = False
            return None
        label = step.label.id if step.label else kept
        path = target.path if label and label == kept else self._path(step, target)
        return Node(".".join(path), op, bound[0], inputs, step.span, target.place, label, bound[1])

    def _path(self, step: tree.Step, target: Target) -> tuple[str, ...]:
        prefix, paths = target.place.prefix, self.wiring.paths
        if step.label is None:
            return paths.name(prefix, step.callee.spelled, step.callee.span)
        path, taken = paths.label(prefix, step.label.id, step.label.span)
        if taken is not None:
            message, related = label_taken(step.label, taken, target.place)
            self.report.error("E0204", message, step.label.span, related=related)
        return path

    # --- place

    def _before(self, step: tree.Step, target: Target, selection: Selection) -> None:
        source = selection.entering(target)
        if source is None:
            self._refuse("nothing can stand before an input", step.span)
        elif isinstance(target, Node) or self._has_start(target, selection.edit.selector.span):
            node = self._make(step, target, [source.key], selection)
            if node is not None:
                self.splice.before(target, node)

    def _after(self, step: tree.Step, target: Target, selection: Selection) -> None:
        if self._has_end(target, selection.edit.selector.span):
            node = self._make(step, target, [leaving(target)], selection)
            if node is not None:
                self.splice.after(target, node)

    def _has_start(self, region: Region, span: Span) -> bool:
        """Whether what enters a region is read in it, and not handed on as it is."""
        if region.leaving == region.entering:
            return self._has_end(region, span)
        read = bool(entries(self.wiring, region))
        if not read and self.wiring.complete:
            self._refuse(f"nothing in `{'.'.join(region.path)}` reads the stream that enters it", span)
        return read

    def _has_end(self, target: Target, span: Span) -> bool:
        """Whether what leaves a target is made in it, so that its readers are known."""
        if isinstance(target, Node) or target.leaving in target.members:
            return True
        if self.wiring.complete:
            what = f"`{'.'.join(target.path)}` hands on a stream that is not made in it"
            self._refuse(f"{what}, so what reads it there cannot be told", span)
        return False

    # --- replace and remove

    def _replace(self, step: tree.Step, target: Target, selection: Selection) -> None:
        span = selection.edit.selector.span
        if isinstance(target, Node) and (not target.inputs or target.op.structural):
            reason = (_stays(target) or "").replace("removed", "replaced")
            self._refuse(f"`{target.op.name}` {reason}", span)
            return
        inputs = [target.entering] if isinstance(target, Region) else list(target.inputs)
        if inputs[0] not in self.wiring.nodes:
            self._refuse("a model's input cannot be replaced", span)
        elif self._has_end(target, span):
            node = self._make(step, target, inputs, selection, target.label)
            if node is not None:
                node.taps = target.taps if isinstance(target, Node) else {}
                self.splice.instead(target, node)

    def _remove(self, target: Target, span: Span) -> None:
        if isinstance(target, Node) and (reason := _stays(target)):
            self._refuse(f"`{target.op.name}` {reason}", span)
            return
        entry = target.entering if isinstance(target, Region) else target.inputs[0]
        if entry not in self.wiring.nodes:
            self._refuse("a model's input cannot be removed", span)
        elif leaving(target) == entry or self._has_end(target, span):
            self.splice.remove(target, entry)

    def _cuts_tie(self, edit: tree.Edit, targets: list[Target]) -> bool:
        """Whether an edit takes away a step whose weight one that stays shares; if so it is reported."""
        if not isinstance(edit, tree.Remove | tree.Replace):
            return False
        label = edit.step.label if isinstance(edit, tree.Replace) else None
        gone: dict[str, None] = {}
        for target in targets:
            if isinstance(target, Region):
                gone.update(target.members)
            elif isinstance(edit, tree.Remove) or (label and label.id != target.label):
                gone[target.key] = None
        self.budget.spend(len(self.wiring.nodes) // 16 if gone else 0, edit.span)
        cut = cut_tie(self.wiring.nodes, gone)
        if cut is not None:
            reader, owner = cut
            what = f"`{owner.label}` cannot be removed: a step shares its weight"
            self._refuse(what, edit.selector.span, Related("shares it", reader.span))
        return cut is not None

    # --- execute

    def _execute(self, edit: tree.Execute, target: Target) -> None:
        name, span = edit.strategy.id, edit.strategy.span
        nodes = [target] if isinstance(target, Node) else [self.wiring.nodes[k] for k in target.members]
        able = [n for n in nodes if n.op.strategies]
        if not able:
            what = target.op.name if isinstance(target, Node) else edit.selector.name
            message = f"`{what}` has one way to be executed, so there is nothing to choose"
            self.report.error("E0801", message, edit.selector.span)
        for node in able:
            known, inexact = (*node.op.ways(node.params), "auto"), node.op.inexact(node.params)
            if name in known:
                node.strategy, node.asked = name, span
            else:
                why = f": {inexact[name]}" if name in inexact else self.report.hint(name, known)
                message = f"`{node.op.name}` cannot be executed as `{name}`; it has {', '.join(known)}{why}"
                self.report.error("E0801", message, span)


def _stays(node: Node) -> str | None:
    """Why a step cannot be removed."""
    if not node.inputs:
        return "is an input and cannot be removed"
    if node.op.name in COMBINATORS:
        return "joins what its block leaves and cannot be removed alone; give it a label, which selects all of it"
    if node.op.structural:
        return "is a part of a flow and cannot be removed"
    return "is an operator over several streams and cannot be removed" if len(node.inputs) != 1 else None
