"""Names, checked on the text alone: what is called exists, arguments have the names they should, each name is defined
once.

This covers components that are never used and arms that are never taken; `expand` checks values and shapes after it.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from dataclasses import dataclass, field

from smrdsl.core.errors import Fix, Related, Report, did_you_mean, nearest
from smrdsl.ops.contract import Operator
from smrdsl.ops.registry import families
from smrdsl.spec.arguments import pair_up, slots
from smrdsl.spec.combine import COMBINATORS
from smrdsl.spec.evaluate import FUNCTIONS
from smrdsl.spec.files import Unit
from smrdsl.spec.reserved import MODEL_ATTRIBUTES, MODULE_ATTRIBUTES
from smrdsl.spec.values import BodyOf
from smrdsl.syntax import tree

EDITS = (tree.Place, tree.Replace, tree.Remove, tree.Execute)


@dataclass(slots=True)
class Names:
    """Checks the components and models of one unit."""

    unit: Unit
    ops: dict[str, Operator]
    report: Report
    blocks_used: set[str] = field(default_factory=set)

    def check(self) -> None:
        names = set(self.unit.lets.names) | set(self.unit.aliases)
        for c in self.unit.own_components():
            self._path_name(c.name, "component")
            self._head(c.parameters, c.block, names, edits=False)
        for m in self.unit.own_models():
            if m.base is not None and self.unit.model(m.base) is None:
                hint = did_you_mean(m.base.spelled, self.unit.models)
                message = f"unknown model `{m.base.spelled}`{hint}"
                self.report.error("E0209", message, m.base.span)
            self._model(m, names)

    def _model(self, m: tree.Model, names: set[str]) -> None:
        if m.base is None:
            self._head(m.parameters or (), m.block, names, edits=True)
            return
        for s in m.block.statements:
            if not isinstance(s, (*EDITS, tree.Let, tree.Require)):
                message = "a model that `extends` another holds edits and lets only"
                self.report.error("E0206", message, s.span)
            elif isinstance(s, tree.Place | tree.Replace):
                self._call(s.step, None)

    def _head(self, parameters: tuple[tree.Parameter, ...], block: tree.Block, names: set[str], *, edits: bool) -> None:
        defined: dict[str, tree.Name] = {}
        for p in parameters:
            if p.default is not None:
                self._expression(p.default, names | set(defined), word=True)
            self._define(p.name, defined)
        self._block(block, names, defined, edits=edits)

    def _define(self, name: tree.Name, defined: dict[str, tree.Name]) -> None:
        first = defined.setdefault(name.id, name)
        if first is not name:
            related = [Related("first here", first.span)]
            message = f"`{name.id}` is defined already in this block"
            self.report.error("E0203", message, name.span, related=related)

    def _block(
        self,
        block: tree.Block,
        outer: set[str],
        defined: dict[str, tree.Name] | None = None,
        *,
        edits: bool = False,
        parallel: bool = False,
    ) -> None:
        defined = {} if defined is None else defined
        for s in block.statements:
            known = outer | set(defined)
            if isinstance(s, tree.Branch) != parallel:
                message = "`branch` stands directly in `parallel`" if not parallel else (
                    "`parallel` holds `branch { ... }` only")  # fmt: skip
                self.report.error("E0206", message, s.span)
            if isinstance(s, EDITS) and not edits:
                message = "edits stand at the outermost level of a model"
                self.report.error("E0206", message, s.span)
            self._statement(s, known, defined)

    def _statement(self, s: tree.Statement, known: set[str], defined: dict[str, tree.Name]) -> None:
        match s:
            case tree.Let():
                self._expression(s.value, known)
                self._define(s.name, defined)
            case tree.Require():
                self._expression(s.condition, known)
            case tree.Tap():
                self._flow(s.flow, known)
                self._define(s.name, defined)
            case tree.SetIt():
                self._flow(s.flow, known)
            case tree.Step():
                self._label(s.label)
                self._step(s, known)
            case tree.Branch():
                self._block(s.block, known)
            case tree.Repeat():
                self._label(s.label)
                self._expression(s.count, known)
                index = {s.index.id: s.index} if s.index else {}
                self._block(s.block, known | set(index), None)
            case tree.When():
                self._label(s.label)
                for arm in s.arms:
                    if arm.condition is not None:
                        self._expression(arm.condition, known)
                    self._block(arm.block, known)
            case tree.Body():
                self._label(s.label)
            case tree.Place() | tree.Replace():
                self._label(s.step.label)
                self._call(s.step, None)

    def _label(self, label: tree.Name | None) -> None:
        if label is not None:
            self._path_name(label, "label")

    def _path_name(self, name: tree.Name, what: str) -> None:
        """A label or component becomes an attribute of a module and must not hide another meaning."""
        taken = None
        if keyword.iskeyword(name.id) or keyword.issoftkeyword(name.id):
            taken = "a Python keyword"
        elif name.id in MODULE_ATTRIBUTES:
            taken = "an attribute of every torch module"
        elif name.id in MODEL_ATTRIBUTES:
            taken = "an attribute of every compiled model"
        elif what == "label" and name.id in self.ops:
            taken = "an operator"
        elif what == "label" and name.id in families():
            taken = "a family of operators"
        elif what == "label" and self.unit.components.get(name.id):
            taken = "a component"
        if taken:
            message = f"`{name.id}` cannot name a {what}: it is {taken}"
            self.report.error("E0204", message, name.span)

    def _step(self, s: tree.Step, known: set[str]) -> None:
        self._call(s, known)
        component = self.unit.component(s.callee)
        name = s.callee.spelled
        if component is not None:
            uses = any(isinstance(b, tree.Body) for b in walk(component[0].block))
            if uses and s.body is None:
                self._misplaced(f"`{name}` needs a block: `{name} {{ ... }}`", s, component[0])
            if not uses and s.body is not None:
                self._misplaced(f"`{name}` has no `body`, so it takes no block", s, component[0])
        elif name in COMBINATORS and s.body is None:
            self._misplaced(f"`{name}` needs a block: `{name} {{ ... }}`", s)
        elif name in self.ops and name not in COMBINATORS and s.body is not None:
            self._misplaced(f"the operator `{name}` takes no block", s)
        if s.body is not None:
            parallel = component is None and name == "parallel"
            self._block(s.body, known, parallel=parallel)

    def _misplaced(self, message: str, s: tree.Step, component: tree.Component | None = None) -> None:
        related = [Related("the component", component.name.span)] if component else []
        self.report.error("E0205", message, s.callee.span, related=related)

    def _call(self, s: tree.Step | tree.Call, known: set[str] | None) -> None:
        """The callee and the names of its arguments; `known` is None where edits bring names of their own."""
        component, name = self.unit.component(s.callee), s.callee.spelled
        if component is not None:
            names = [p.name.id for p in component[0].parameters]
            pair_up(s.arguments, names, f"`{name}`", self.report, s.span)
            for a in s.arguments if known is not None else ():
                self._expression(a.value, known or set(), word=True)
            return
        op = self.ops.get(name)
        if op is None or (op.structural and name not in COMBINATORS):
            self._unknown_callee(s.callee, name)
            return
        streams = len(op.streams) if isinstance(s, tree.Call) and len(op.streams) > 1 else 0
        given = pair_up(s.arguments[streams:], list(slots(op.params)), f"`{name}`", self.report, s.span)
        for argument, a in (given or {}).items() if known is not None else ():
            slot = slots(op.params)[argument]
            word = isinstance(a.value, tree.Name) and bool(slot.words or slot.label)
            self._expression(a.value, known or set(), word=word)

    def _unknown_callee(self, callee: tree.Name | tree.Dotted, name: str) -> None:
        written = [n for n, op in self.ops.items() if not op.structural or n in COMBINATORS]
        known = [*self.unit.component_names(), *written]
        if isinstance(callee, tree.Dotted) and callee.base in self.unit.aliases and callee.attribute[0] == "_":
            self.report.error("E0603", f"`{callee.attribute}` is private to its file", callee.span)
            return
        near = nearest(name, known)
        fix = Fix(f"write `{near}`", callee.span, near) if near else None
        message = f"unknown operator `{name}`{did_you_mean(name, known)}"
        self.report.error("E0202", message, callee.span, fix=fix)

    def _flow(self, e: tree.Expression, known: set[str]) -> None:
        """The callees in a flow; its names are checked when it is expanded."""
        match e:
            case tree.Pipe():
                self._flow(e.stream, known)
                target = e.target
                if isinstance(target, tree.Name | tree.Dotted):
                    target = tree.Call(target, (), span=target.span)
                if isinstance(target, tree.Call):
                    self._call(tree.Step(None, target.callee, target.arguments, None, span=target.span), known)
            case tree.Call() if e.callee.spelled not in FUNCTIONS:
                self._call(e, known)
            case tree.Unary():
                self._flow(e.operand, known)
            case tree.Binary():
                self._flow(e.left, known)
                self._flow(e.right, known)

    def _expression(self, e: tree.Expression, known: set[str], *, word: bool = False) -> None:
        """Names in an expression: a word may stand alone where `word`, and beside `==` and `!=`."""
        match e:
            case tree.Name():
                if not word and e.id not in known and e.id != "width":
                    hint = did_you_mean(e.id, (*sorted(known), "width"))
                    self.report.error("E0201", f"unknown name `{e.id}`{hint}", e.span)
            case tree.Unary():
                self._expression(e.operand, known)
            case tree.Binary():
                beside = e.operator in ("==", "!=")
                self._expression(e.left, known, word=beside)
                self._expression(e.right, known, word=beside)
            case tree.Range():
                self._expression(e.low, known)
                self._expression(e.high, known)
            case tree.Listing():
                for item in e.items:
                    self._expression(item, known)
            case tree.Call():
                for a in e.arguments:
                    self._expression(a.value, known)


def walk(block: tree.Block) -> Iterator[tree.Statement]:
    """All statements of a block, inner ones too."""
    for s in block.statements:
        yield s
        for inner in blocks_of(s):
            yield from walk(inner)


def blocks_of(s: tree.Statement) -> tuple[tree.Block, ...]:
    match s:
        case tree.Step():
            return (s.body,) if s.body else ()
        case tree.Repeat() | tree.Branch():
            return (s.block,)
        case tree.When():
            return tuple(arm.block for arm in s.arms)
    return ()


def callees(e: tree.Expression) -> Iterator[tree.Name | tree.Dotted]:
    """What a flow calls, in order."""
    match e:
        case tree.Pipe():
            yield from callees(e.stream)
            if isinstance(e.target, tree.Name | tree.Dotted):
                yield e.target
            else:
                yield from callees(e.target)
        case tree.Call() if e.callee.spelled not in FUNCTIONS:
            for a in e.arguments:
                yield from callees(a.value)
            yield e.callee
        case tree.Unary():
            yield from callees(e.operand)
        case tree.Binary():
            yield from callees(e.left)
            yield from callees(e.right)


def written_names(block: tree.Block, body: BodyOf | None) -> Iterator[str]:
    """The names that the steps of a block take on its path, as they stand in the text."""
    for s in block.statements:
        match s:
            case tree.Tap() | tree.SetIt():
                yield from (c.spelled.rpartition(".")[2] for c in callees(s.flow))
            case tree.Step() if s.label is None:
                name = s.callee.spelled.rpartition(".")[2]
                yield name
                yield from {"parallel": ("branch",), "bidirectional": ("ahead", "back")}.get(name, ())
                if s.body and name in ("residual", "gated"):
                    yield from written_names(s.body, body)
            case tree.Repeat() if s.label is None:
                yield "layers"
            case tree.When() if s.label is None:
                for arm in s.arms:
                    yield from written_names(arm.block, body)
            case tree.Body() if s.label is None and body is not None:
                yield from written_names(body.block, body.scope.given_body())
