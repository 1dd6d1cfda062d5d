"""Uses: what the names in expressions, calls and flows stand for, checked on the text alone and noted.

It covers components that are never used and arms that are never taken. Values and shapes are checked where a model is
expanded; what is reported twice is told once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from smrdsl.core.errors import Fix, Report
from smrdsl.ops.contract import Operator
from smrdsl.spec.arguments import MOST_NAMES, check_literals, missing, pair_up, slots
from smrdsl.spec.arithmetic import FUNCTIONS
from smrdsl.spec.evaluate import Evaluator, imported_file, no_function
from smrdsl.spec.library import library
from smrdsl.spec.units import Signature, Unit, Use
from smrdsl.spec.values import POISON, Scope
from smrdsl.spec.walk import COMBINATORS, names_in
from smrdsl.syntax import tree

Callee = tree.Name | tree.Dotted


@dataclass(slots=True)
class Known:
    """The names that are in scope at a place of the text: what defines each, and values where the text has them."""

    names: dict[str, tree.Node]
    values: Scope
    outer: Known | None = None
    loose: bool = False
    """Whether names may come from elsewhere: from what an edit selects."""

    @classmethod
    def of_file(cls, unit: Unit) -> Known:
        """What every item of a file sees."""
        lets = {name: let for name, (let, _) in unit.let_items.items()}
        return cls({**lets}, Scope(unit.lets, {"width": POISON}))

    def inner(self, *, loose: bool = False) -> Known:
        return Known({}, self.values.inner(), self, loose or self.loose)

    def define(self, name: str, definition: tree.Node) -> None:
        self.names[name] = definition
        self.values.names[name] = POISON

    def find(self, name: str) -> tree.Node | None:
        known: Known | None = self
        while known is not None and name not in known.names:
            known = known.outer
        return known.names[name] if known else None

    def all(self) -> Iterator[str]:
        """All names in scope, the innermost first."""
        known: Known | None = self
        while known is not None:
            yield from known.names
            known = known.outer
        yield "width"


@dataclass(slots=True)
class Uses:
    """Checks what one item of a file uses."""

    unit: Unit
    ops: dict[str, Operator]
    report: Report
    found: list[Use] = field(default_factory=list)

    def note(self, name: Callee | tree.Selector, definition: tuple | None) -> None:
        """Note what a name stands for, where that is a definition at the top of a file."""
        if definition is not None:
            self.found.append(Use(name.span, *definition))

    # --- expressions

    def expression(self, e: tree.Expression, known: Known, *, word: bool = False) -> None:
        """Names in an expression: a word may stand alone where `word`, and beside `==` and `!=`."""
        match e:
            case tree.Name():
                self._name(e, known, word)
            case tree.Dotted():
                self._dotted(e, known)
            case tree.Unary():
                self.expression(e.operand, known)
            case tree.Binary():
                beside = e.operator in ("==", "!=")
                self.expression(e.left, known, word=beside)
                self.expression(e.right, known, word=beside)
            case tree.Range():
                self.expression(e.low, known)
                self.expression(e.high, known)
            case tree.Listing():
                for item in e.items:
                    self.expression(item, known)
            case tree.Call():
                if e.callee.spelled not in FUNCTIONS:
                    self.report.error("E0202", no_function(e.callee.spelled, self.report), e.callee.span)
                for a in e.arguments:
                    self.expression(a.value, known)

    def _name(self, e: tree.Name, known: Known, word: bool) -> None:
        definition = known.find(e.id)
        if definition is not None:
            self._note_let(e, definition)
        elif e.id in self.unit.aliases:
            self.report.error("E0201", imported_file(e.id), e.span)
        elif e.id != "width" and not word and not known.loose:
            self.unknown(e, known)

    def _note_let(self, e: tree.Name, definition: tree.Node) -> None:
        let = self.unit.let(e)
        if let is not None and let[0] is definition:
            self.note(e, let)

    def unknown(self, e: tree.Name, known: Known, also: tuple[str, ...] = ()) -> None:
        """Report a name that nothing defines, unless an import that failed may have brought it."""
        hint = self.report.hint(e.id, (*known.all(), *also))
        if hint or not self.unit.lacks_names:
            self.report.error("E0201", f"unknown name `{e.id}`{hint}", e.span)

    def _dotted(self, e: tree.Dotted, known: Known) -> None:
        if known.find(e.base) is not None or e.base in self.unit.lost_aliases:
            return  # a tap, or told where it has a value
        problem = self.unit.no_let(e, self.report)
        if problem is not None:
            self.report.error(*problem, e.span)
        self.note(e, self.unit.let(e))

    # --- calls

    def call(self, s: tree.Step | tree.Call, known: Known) -> bool:
        """The callee and the arguments of a step, or of what follows `|>`; whether there is such a callee."""
        component = self.unit.component(s.callee)
        if component is not None:
            self.note(s.callee, component)
            self._component_arguments(s, component[1].signature(component[0]), known)
            return True
        op = self.ops.get(s.callee.spelled)
        if op is None or (op.structural and op.name not in COMBINATORS):
            self.unknown_callee(s.callee, known)
            return False
        self.operator_arguments(s, op, s.arguments, known)
        return True

    def _component_arguments(self, s: tree.Step | tree.Call, signature: Signature, known: Known) -> None:
        given = pair_up(s.arguments, signature.names, f"`{s.callee.spelled}`", self.report)
        if given is not None:
            lacking = list(islice((name for name in signature.needed if name not in given), MOST_NAMES))
            if lacking:
                names = " and ".join(f"`{name}`" for name in lacking)
                message = f"`{s.callee.spelled}` needs its argument{'s' * (len(lacking) > 1)} {names}"
                self.report.error("E0302", message, s.callee.span)
        for a in s.arguments:
            self.expression(a.value, known, word=True)

    def operator_arguments(
        self, s: tree.Step | tree.Call, op: Operator, arguments: tuple[tree.Argument, ...], known: Known
    ) -> None:
        """Names of arguments, names in them, and the values of those that say what they are."""
        table = slots(op.params)
        given = pair_up(arguments, table, f"`{op.name}`", self.report)
        if given is None:
            for a in arguments:
                self.expression(a.value, known, word=True)
            return
        problem = missing(op, given)
        if problem:
            self.report.error("E0302", problem, s.callee.span)
        for name, a in given.items():
            if isinstance(a.value, tree.Name) and (a.value.id in table[name].words or table[name].label):
                continue  # always the member, or the label
            self.expression(a.value, known, word=bool(table[name].words))
        literal = {n: a for n, a in given.items() if not (known.loose and self._open(a.value, known))}
        check_literals(op, literal, Evaluator(known.values, self.report, self.unit), s.callee.span)

    def _open(self, e: tree.Expression, known: Known) -> bool:
        return any(known.find(name.id) is None for name in names_in(e))

    def unknown_callee(self, callee: Callee, known: Known) -> None:
        name = callee.spelled
        if isinstance(callee, tree.Dotted) and callee.base in self.unit.lost_aliases:
            return
        if self.unit.is_private(callee, "components"):
            self.report.error("E0603", f"`{name.rpartition('.')[2]}` is private to its file", callee.span)
            return
        if name in library():
            brought = f'unknown operator `{name}`; the library has it: `import "{library()[name].file}"`'
            self.report.error("E0202", brought, callee.span, fix=Fix(f'write `import "{library()[name].file}"` above'))
            return
        near = self.report.nearest(name, (*self.unit.component_names(), *self._written()))
        if near is None and self.unit.lacks_names:
            return
        fix = Fix(f"write `{near}`", callee.span, near) if near else None
        self.report.error("E0202", f"{_no_callee(callee, known, self.unit)}{_hint(near)}", callee.span, fix=fix)

    def _written(self) -> list[str]:
        """The operators that may be written."""
        return [n for n, op in self.ops.items() if not op.structural or n in COMBINATORS]


def _hint(near: str | None) -> str:
    return f", did you mean `{near}`?" if near else ""


def _no_callee(callee: Callee, known: Known, unit: Unit) -> str:
    """Why a callee is none."""
    name = callee.spelled
    if isinstance(callee, tree.Dotted):
        if callee.base not in unit.aliases:
            return f"unknown operator `{name}`: no import is called `{callee.base}`"
        return f"`{callee.base}` has no component `{callee.attribute}`"
    if known.find(name) is not None:
        return f"`{name}` is a value or a tap here, and no operator or component"
    return f"unknown operator `{name}`"
