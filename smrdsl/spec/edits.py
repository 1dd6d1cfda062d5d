"""Edits: `place`, `replace`, `remove` and `execute`, applied to the wiring in their order.

A target is a node or a region. What a condition or an argument sees, in this order: the indices of enclosing repeats,
the arguments of the target, the model's parameters and lets; and `width` at that place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from smrdsl.core.errors import Report, did_you_mean
from smrdsl.core.source import Span
from smrdsl.ops.contract import Operator
from smrdsl.ops.registry import families
from smrdsl.spec.arguments import operator_params, slots
from smrdsl.spec.evaluate import Evaluator
from smrdsl.spec.files import Unit
from smrdsl.spec.values import Scope, Stream, Value, Word
from smrdsl.spec.wiring import Node, Region, Wiring
from smrdsl.syntax import tree

Target = Node | Region


@dataclass(slots=True)
class Editor:
    """Applies the edits of one model or twin; `scope` holds its parameters and lets."""

    wiring: Wiring
    report: Report
    ops: dict[str, Operator]
    unit: Unit
    scope: Scope
    dirty: dict[str, None] = field(default_factory=dict)

    def apply(self, edit: tree.Edit) -> None:
        """Apply one edit to all that it selects, then infer the types that it changed."""
        targets = self.select(edit)
        for target in targets:
            if not self._alive(target):
                continue  # went with another target that it was part of
            match edit:
                case tree.Place(side="before"):
                    self._before(edit.step, target)
                case tree.Place():
                    self._after(edit.step, target)
                case tree.Replace():
                    self._replace(edit.step, target)
                case tree.Remove():
                    self._remove(target, edit.selector.span)
                case tree.Execute():
                    self._execute(edit, target)
        self.wiring.settle(list(self.dirty))
        self.dirty.clear()

    def _alive(self, target: Target) -> bool:
        if isinstance(target, Region):
            return bool(target.members)
        return self.wiring.nodes.get(target.key) is target

    # --- selecting

    def select(self, edit: tree.Edit) -> list[Target]:
        """What an edit is about; an error where the selector matches nothing, a warning where the condition does."""
        name, nodes = edit.selector.name, self.wiring.nodes
        family = families().get(name, ())
        found: list[Target] = [r for r in self.wiring.regions if name in r.names and r.members]
        found += [n for n in nodes.values() if name in (n.op.name, n.label) or n.op.name in family]
        if not found and self.wiring.complete:
            hint = did_you_mean(name, self._selectable())
            message = f"`{name}` selects nothing in this model{hint}"
            self.report.error("E0501", message, edit.selector.span)
        if edit.condition is None or not found:
            return found
        chosen = [t for t in found if self._holds(edit.condition, t, found)]
        if not chosen and not self.report.failed:
            message = f"`where` leaves nothing of the {len(found)} that `{name}` selects"
            self.report.error("E0502", message, edit.condition.span, severity="warning")
        return chosen

    def _selectable(self) -> list[str]:
        names = {n.op.name for n in self.wiring.nodes.values() if not n.op.structural}
        names |= {n.label for n in self.wiring.nodes.values() if n.label}
        names |= {name for r in self.wiring.regions for name in r.names}
        return sorted(names | {f for f, members in families().items() if names & set(members)})

    def _holds(self, condition: tree.Expression, target: Target, all_found: list[Target]) -> bool:
        seen = own_names(target)
        asked = names_in(condition)
        for name in asked - set(seen):
            if self.scope.find(name) is None and any(name in own_names(t) for t in all_found):
                return False  # some of the selected have this name, this one lacks it
        stream = self._entering(target)
        evaluator = Evaluator(Scope(self.scope, seen), self.report, self.unit, stream)
        return evaluator.truth(condition) is True

    def _entering(self, target: Target) -> Stream | None:
        key = target.entry if isinstance(target, Region) else next(iter(target.inputs), "")
        return self._stream(key)

    def _stream(self, key: str) -> Stream | None:
        node = self.wiring.nodes.get(key)
        return Stream(key, node.type) if node else None

    # --- changing

    def _make(
        self, step: tree.Step, target: Target, inputs: list[str], path: tuple[str, ...] | None = None
    ) -> Node | None:
        """A node for `step` at the target, not yet in the wiring; None after a mistake."""
        name = step.callee.spelled
        op = self.ops.get(name)
        if self.unit.component(step.callee) is not None or (op and (op.structural or not op.streams)):
            self._refuse(f"an edit brings one operator over a stream, `{name}` is none", step.callee.span)
            return None
        if op is None:
            return None  # names.py reported it
        if len(op.streams) != len(inputs):
            message = f"`{name}` reads {len(op.streams)} streams, and there are {len(inputs)} here"
            self._refuse(message, step.span)
            return None
        place, stream = target.place, self._stream(inputs[0])
        scope = Scope(self.scope, own_names(target))
        evaluator = Evaluator(scope, self.report, self.unit, stream)
        bound = operator_params(op, step, evaluator, place.related())
        if bound is None:
            return None
        path = path or self.wiring.name(place.prefix, step.label.id if step.label else name)
        label = step.label.id if step.label else None
        return Node(".".join(path), op, bound[0], inputs, step.span, place, label, bound[1])

    def _before(self, step: tree.Step, target: Target) -> None:
        source = self._entering(target)
        if source is None:
            self._refuse("nothing can stand before an input", step.span)
            return
        node = self._make(step, target, [source.key])
        if node is None:
            return
        self.wiring.add(node)
        readers = list(target.members) if isinstance(target, Region) else [target.key]
        for reader in readers:
            if source.key in self.wiring.nodes[reader].inputs:
                self.wiring.rewire(reader, source.key, node.key, first_only=isinstance(target, Node))
                self.dirty.update({} if node.type == source.type else {reader: None})
        if isinstance(target, Region):
            target.entry = node.key

    def _after(self, step: tree.Step, target: Target) -> None:
        node = self._make(step, target, [leaving(target)])
        if node is not None:
            self.wiring.add(node)
            self._redirect(target, node.key)

    def _replace(self, step: tree.Step, target: Target) -> None:
        if isinstance(target, Node) and (not target.inputs or target.op.structural):
            self._refuse(f"`{target.op.name}` cannot be replaced by an edit", step.span)
            return
        inputs = [target.entry] if isinstance(target, Region) else list(target.inputs)
        label = _label(target)
        node = self._make(step, target, inputs, target.path if label and not step.label else None)
        if node is None:
            return
        node.label = node.label or label
        if node.key in self.wiring.nodes:
            self.wiring.swap(node)
            self.dirty.update(self.wiring.readers[node.key])
            return
        self.wiring.add(node)
        self._redirect(target, node.key)
        self._drop(target)

    def _remove(self, target: Target, span: Span) -> None:
        if isinstance(target, Node) and (len(target.inputs) != 1 or target.op.structural):
            what = "an input" if not target.inputs else "an operator over several streams"
            what = "a part of a construct" if len(target.inputs) == 1 else what
            self._refuse(f"`{target.op.name}` is {what} and cannot be removed", span)
            return
        entry = target.entry if isinstance(target, Region) else target.inputs[0]
        if entry not in self.wiring.nodes:
            self._refuse("a model's input cannot be removed", span)
            return
        self._redirect(target, entry)
        self._drop(target)

    def _redirect(self, target: Target, new: str) -> None:
        """Let all that read the target from outside read `new`; regions and the model end or begin there."""
        old, around = leaving(target), target.place.regions
        before, after = self.wiring.nodes[old].type, self.wiring.nodes[new].type
        for reader in [r for r in self.wiring.readers[old] if r != new]:
            if isinstance(target, Node) or target not in self.wiring.nodes[reader].place.regions:
                self.wiring.rewire(reader, old, new)
                self.dirty.update({} if before == after else {reader: None})
        for region in self.wiring.regions:
            if region.exit == old and region in around:
                region.exit = new
            if region.entry == old and region not in around and region is not target:
                region.entry = new
        if self.wiring.output == old:
            self.wiring.output = new

    def _drop(self, target: Target) -> None:
        gone = list(target.members) if isinstance(target, Region) else [target.key]
        self.wiring.drop(gone)
        for key in gone:
            self.dirty.pop(key, None)

    def _execute(self, edit: tree.Execute, target: Target) -> None:
        name, span = edit.strategy.id, edit.strategy.span
        nodes = [target] if isinstance(target, Node) else [
            self.wiring.nodes[k] for k in list(target.members)]  # fmt: skip
        able = [n for n in nodes if n.op.strategies]
        if not able:
            message = f"`{edit.selector.name}` has one way to be executed, so there is nothing to choose"
            self.report.error("E0801", message, edit.selector.span)
        for node in able:
            if name in (*node.op.strategies, "auto"):
                node.strategy = name
            else:
                known = ", ".join((*node.op.strategies, "auto"))
                hint = did_you_mean(name, (*node.op.strategies, "auto"))
                message = f"`{node.op.name}` cannot be executed as `{name}`; it has {known}{hint}"
                self.report.error("E0801", message, span)

    def _refuse(self, message: str, span: Span) -> None:
        self.report.error("E0503", message, span)


def leaving(target: Target) -> str:
    """The key of the stream that leaves a target."""
    return target.exit if isinstance(target, Region) else target.key


def own_names(target: Target) -> dict[str, Value]:
    """What conditions and arguments see of a target: its arguments, hidden by the indices around it."""
    if isinstance(target, Region):
        return {**target.arguments, **target.place.indices}
    table = slots(type(target.params))
    values: dict[str, Any] = {}
    for name, value in target.params:
        words = table[name].words or table[name].label
        values[name] = Word(value, target.span) if words and isinstance(value, str) else value
    return {**values, **target.place.indices}


def _label(target: Target) -> str | None:
    if isinstance(target, Node):
        return target.label
    return target.path[-1] if target.labelled else None


def names_in(e: tree.Expression) -> set[str]:
    """The bare names of an expression."""
    match e:
        case tree.Name():
            return {e.id}
        case tree.Unary():
            return names_in(e.operand)
        case tree.Binary():
            return names_in(e.left) | names_in(e.right)
        case tree.Range():
            return names_in(e.low) | names_in(e.high)
        case tree.Listing():
            return set().union(*map(names_in, e.items))
        case tree.Call():
            return set().union(*(names_in(a.value) for a in e.arguments))
    return set()
