"""Names, checked on the text alone: what is used exists, each name is defined once, each statement is in its place.

This covers components that are never used and arms that are never taken; `expand` checks values and shapes after it.
"""

from __future__ import annotations

import keyword
from dataclasses import dataclass

from smrdsl.core.errors import Related, Report
from smrdsl.ops.contract import Operator
from smrdsl.ops.registry import families
from smrdsl.spec.paths import plain
from smrdsl.spec.reserved import MODEL_ATTRIBUTES, MODULE_ATTRIBUTES
from smrdsl.spec.streams import check_flow
from smrdsl.spec.units import Unit
from smrdsl.spec.uses import Known, Uses
from smrdsl.spec.walk import COMBINATORS, EDITS
from smrdsl.syntax import tree


def check_names(unit: Unit, ops: dict[str, Operator], report: Report) -> None:
    """Check every item of a file, and note in the unit what each uses."""
    known = Known.of_file(unit)
    for item in unit.file.items:
        if isinstance(item, tree.Component | tree.Model | tree.Let):
            names = Names(unit, ops, report, Uses(unit, ops, report))
            names.item(item, known)
            unit.uses[id(item)] = names.uses.found


@dataclass(slots=True)
class Names:
    """Checks one component, model or let of a file."""

    unit: Unit
    ops: dict[str, Operator]
    report: Report
    uses: Uses
    has_body: bool = False
    """Whether it is a component, which alone may say `body`."""

    def item(self, item: tree.Component | tree.Model | tree.Let, known: Known) -> None:
        match item:
            case tree.Let():
                self.uses.expression(item.value, known, word=True)
            case tree.Component():
                self.has_body = True
                self._path_name(item.name, "component")
                self._block(item.block, self._head(item.parameters, known))
            case tree.Model(base=None):
                self._block(item.block, self._head(item.parameters or (), known), edits=True)
            case tree.Model():
                self._twin(item, known)

    def _twin(self, m: tree.Model, known: Known) -> None:
        """A model that extends another."""
        assert m.base is not None
        base = self.unit.model(m.base)
        self.uses.note(m.base, base)
        if base is None:
            self._no_base(m.base)
        inside = self._head(m.parameters or (), known)
        inherits = m.parameters is None  # the names of its base's parameters
        for a in m.arguments:
            self.uses.expression(a.value, _loose(inside) if inherits else inside, word=True)
        for s in m.block.statements:
            if not isinstance(s, (*EDITS, tree.Let, tree.Require)):
                message = "a model that `extends` another holds edits, lets and requirements only"
                self.report.error("E0206", message, s.span)
            else:
                self._statement(s, _loose(inside) if inherits or isinstance(s, EDITS) else inside, inside)

    def _no_base(self, base: tree.Name | tree.Dotted) -> None:
        if self.unit.is_private(base, "models"):
            self.report.error("E0603", f"`{base.spelled.rpartition('.')[2]}` is private to its file", base.span)
            return
        hint = self.report.hint(base.spelled, self.unit.models)
        lost = isinstance(base, tree.Dotted) and base.base in self.unit.lost_aliases
        if not lost and (hint or not self.unit.lacks_names):
            self.report.error("E0209", f"unknown model `{base.spelled}`{hint}", base.span)

    def _head(self, parameters: tuple[tree.Parameter, ...], known: Known) -> Known:
        """The names inside of a component or model: its parameters, each default seeing those before it."""
        inside = known.inner()
        for p in parameters:
            if p.default is not None:
                self.uses.expression(p.default, inside, word=True)
            self._define(p.name, p, inside)
        return inside

    def _define(self, name: tree.Name, definition: tree.Node, known: Known) -> None:
        first = known.names.get(name.id)
        if first is not None:
            place = getattr(first, "name", first)
            message = f"`{name.id}` is defined already in this block"
            self.report.error("E0203", message, name.span, related=[Related("first here", place.span)])
        else:
            known.define(name.id, definition)

    # --- blocks and statements

    def _block(self, block: tree.Block, inside: Known, *, edits: bool = False, parallel: bool = False) -> None:
        """The statements of a block, whose names are `inside`."""
        for s in block.statements:
            if isinstance(s, tree.Branch) != parallel:
                only = "`parallel` holds `branch { ... }` only"
                self.report.error("E0206", only if parallel else "`branch` stands directly in `parallel`", s.span)
            if isinstance(s, EDITS) and not edits:
                self.report.error("E0206", "edits stand at the outermost level of a model", s.span)
            self._statement(s, _loose(inside) if isinstance(s, EDITS) else inside, inside)

    def _statement(self, s: tree.Statement, known: Known, inside: Known) -> None:
        """Check a statement; what it defines is in scope `inside` from here on."""
        match s:
            case tree.Let():
                self.uses.expression(s.value, known, word=True)
                self._define(s.name, s, inside)
            case tree.Require():
                self.uses.expression(s.condition, known)
            case tree.Tap():
                check_flow(self.uses, s.flow, known)
                self._define(s.name, s, inside)
            case tree.SetIt():
                check_flow(self.uses, s.flow, known)
            case tree.Step():
                self._label(s.label)
                self._step(s, known)
            case tree.Branch():
                self._block(s.block, known.inner())
            case tree.Repeat():
                self._repeat(s, known)
            case tree.When():
                self._when(s, known)
            case tree.Body():
                self._body(s)
            case _:
                self._edit(s, known)

    def _repeat(self, s: tree.Repeat, known: Known) -> None:
        self._label(s.label)
        self.uses.expression(s.count, known)
        inside = known.inner()
        if s.index:
            inside.define(s.index.id, s.index)
        self._block(s.block, inside)

    def _when(self, s: tree.When, known: Known) -> None:
        self._label(s.label)
        for arm in s.arms:
            if arm.condition is not None:
                self.uses.expression(arm.condition, known)
            self._block(arm.block, known.inner())

    def _body(self, s: tree.Body) -> None:
        self._label(s.label)
        if not self.has_body:
            message = "`body` stands in a component, for the block that it is given where it is used"
            self.report.error("E0205", message, s.span)

    def _edit(self, s: tree.Edit, known: Known) -> None:
        if isinstance(s, tree.Place | tree.Replace):
            self._label(s.step.label)
            self.uses.call(s.step, known)
        if s.condition is not None:
            self.uses.expression(s.condition, known)
        alias, _, name = s.selector.name.rpartition(".")
        if alias:
            dotted = tree.Dotted(alias, name, span=s.selector.span)
            self.uses.note(s.selector, self.unit.component(dotted))

    # --- steps and their names

    def _step(self, s: tree.Step, known: Known) -> None:
        component = self.unit.component(s.callee)
        name = s.callee.spelled
        found = self.uses.call(s, known)
        if component is not None:
            takes_body = component[1].takes_body(component[0])
            if takes_body and s.body is None:
                self._misplaced(f"`{name}` needs a block: `{name} {{ ... }}`", s, component[0])
            if not takes_body and s.body is not None:
                self._misplaced(f"`{name}` has no `body`, so it takes no block", s, component[0])
        elif name in COMBINATORS and s.body is None:
            self._misplaced(f"`{name}` needs a block: `{name} {{ ... }}`", s)
        elif found and name not in COMBINATORS and s.body is not None:
            self._misplaced(f"the operator `{name}` takes no block", s)
        elif found and name not in COMBINATORS and len(self.ops[name].streams) > 1:
            streams = ", ".join(self.ops[name].streams)
            message = f"`{name}` reads several streams: write `it := {name}({streams}, ...)`"
            self.report.error("E0208", message, s.callee.span)
        if s.body is not None:
            self._block(s.body, known.inner(), parallel=component is None and name == "parallel")

    def _misplaced(self, message: str, s: tree.Step, component: tree.Component | None = None) -> None:
        related = [Related("the component", component.name.span)] if component else []
        self.report.error("E0205", message, s.callee.span, related=related)

    def _label(self, label: tree.Name | None) -> None:
        if label is not None:
            self._path_name(label, "label")

    def _path_name(self, name: tree.Name, what: str) -> None:
        """A label or component becomes an attribute of a module and must not hide another meaning."""
        taken = None
        called = plain(name.id) if what == "component" else name.id
        if keyword.iskeyword(called) or keyword.issoftkeyword(called):
            taken = "a Python keyword"
        elif called in MODULE_ATTRIBUTES:
            taken = "an attribute of every torch module"
        elif called in MODEL_ATTRIBUTES:
            taken = "an attribute of every compiled model"
        elif what == "label" and called in self.ops:
            taken = "an operator"
        elif what == "label" and called in families():
            taken = "a family of operators"
        elif what == "label" and self.unit.components.get(called):
            taken = "a component"
        if taken:
            self.report.error("E0204", f"`{name.id}` cannot name a {what}: it is {taken}", name.span)


def _loose(known: Known) -> Known:
    """The same names, seen from an edit, where those of what it selects come before them."""
    return Known(known.names, known.values, known.outer, loose=True)
