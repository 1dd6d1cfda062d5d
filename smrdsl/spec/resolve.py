"""Resolve: from a text to checked models. Reads down: load, check names, expand, edit, complete.

Every mistake lands in the report; a model comes out only where there was none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from smrdsl.core.errors import Diagnostic, Report, SpecError
from smrdsl.core.source import Source
from smrdsl.ops.contract import Operator
from smrdsl.ops.registry import operators
from smrdsl.spec.arguments import some
from smrdsl.spec.complete import complete
from smrdsl.spec.cycles import check_cycles
from smrdsl.spec.edits import Editor
from smrdsl.spec.evaluate import Evaluator
from smrdsl.spec.expand import Expander
from smrdsl.spec.files import Library, read_source
from smrdsl.spec.heads import Chain, bind_chain
from smrdsl.spec.limits import Budget, Limits, Spent, working
from smrdsl.spec.model import Model
from smrdsl.spec.names import check_names
from smrdsl.spec.splice import Splice
from smrdsl.spec.units import Unit
from smrdsl.spec.values import Scope, Stream, Value
from smrdsl.spec.walk import EDITS
from smrdsl.spec.wiring import Place, Wiring
from smrdsl.syntax import tree

TURNS = 4
"""Turns that a model may take, for each node that it may have."""
TOGETHER = 2
"""Models of that size in one file."""


@dataclass(slots=True)
class Resolver:
    """Resolves the models of one text."""

    source: Source
    path: Path | None = None
    limits: Limits = field(default_factory=Limits)
    report: Report = field(default_factory=Report)
    ops: dict[str, Operator] = field(default_factory=operators)
    unit: Unit | None = None
    file: tree.File | None = None
    """The tree, where it was not read from `source`."""
    spent: int = 0
    """Turns that all models took."""

    def load(self) -> bool:
        """Read the text with its imports and check all names; whether models can be expanded."""
        with working(self.limits):
            library = Library(self.report, self.limits)
            self.unit = library.root(self.source, self.path, self.file)
            units = [u for u in (self.unit, *library.units.values()) if u is not None]
            cyclic = [check_cycles(u, self.report) for u in units]
            for unit in units:
                check_names(unit, self.ops, self.report)
            return self.unit is not None and not any(cyclic)

    def models(self) -> list[str]:
        """The names of the file's own models, the default first."""
        return [m.name.id for m in self.unit.own_models()] if self.unit else []  # type: ignore[union-attr]

    def check(self) -> None:
        """Check every model of the file, up to one for which no turns are left."""
        if self.load():
            for name in self.models():
                self.model(name)
                if self.spent >= TOGETHER * TURNS * self.limits.nodes:
                    break

    def pick(self, name: str | None) -> str:
        """The model of that name, or the default. Raises `SpecError`."""
        known = self.models()
        if name is None and not known:
            message = "the file has components only, no model, so there is nothing to compile"
            raise SpecError([Diagnostic("E0209", message, file=self.source.path)])
        if name is not None and name not in known:
            hint = self.report.hint(name, known) or f"; it has {some(known)}"
            message = f"no model `{name}` in this file{hint}"
            raise SpecError([Diagnostic("E0209", message, file=self.source.path)])
        return name or known[0]

    def model(self, name: str, overrides: Mapping[str, Value] | None = None) -> Model | None:
        """One model, expanded, edited and completed; None where it has mistakes."""
        assert self.unit is not None
        told, most = self.report.told, TURNS * self.limits.nodes
        given = min(most, max(0, TOGETHER * most - self.spent))
        what = "to expand this model takes" if given == most else "to expand the models of this file takes"
        budget = Budget(given, what, self.report)
        try:
            with working(self.limits):
                return self._model(*self.unit.models[name], overrides or {}, budget, told)
        except Spent:  # that was reported
            return None
        finally:
            self.spent += given - max(0, budget.left)

    def _model(
        self, model: tree.Model, unit: Unit, overrides: Mapping[str, Value], budget: Budget, told: int
    ) -> Model | None:
        chain = self._chain(model, unit)
        scopes = bind_chain(chain, overrides, self.report, budget) if chain else None
        if chain is None or scopes is None:
            return None
        wiring = Wiring(self.report, self.limits)
        expander = Expander(self.report, wiring, self.limits, self.ops, budget)
        base, home = chain[-1]
        inside = scopes[-1].inner()
        leaves = expander.statements(base.block, inside, Place(), None, home)
        wiring.output = leaves.key if leaves else ""
        for name in [n for n, value in inside.names.items() if isinstance(value, Stream)]:
            del inside.names[name]  # edits see lets, and no taps
        self._edit(base, home, inside, wiring, budget)
        for (twin, its_unit), scope in zip(reversed(chain[:-1]), reversed(scopes[:-1]), strict=True):
            self._edit(twin, its_unit, scope.inner(), wiring, budget)
        return complete(model.name, self.source, dict(scopes[0].names), wiring, self.limits, told)

    def _chain(self, model: tree.Model, unit: Unit) -> Chain | None:
        """The model, what it extends, and so on to the one with a block of its own."""
        chain = [(model, unit)]
        while model.base is not None:
            target = unit.model(model.base)
            if target is None:
                return None
            if len(chain) > self.limits.depth:
                message = f"models extend one another more than {self.limits.depth} times"
                self.report.error("E0704", message, chain[0][0].name.span)
                return None
            model, unit = target
            chain.append(target)
        return chain

    def _edit(self, model: tree.Model, unit: Unit, scope: Scope, wiring: Wiring, budget: Budget) -> None:
        """Apply the edits of one model; the lets of a twin are seen by those that follow."""
        editor = Editor(wiring, self.report, self.ops, unit, scope, budget, Splice(wiring))
        evaluator = Evaluator(scope, self.report, unit, budget=budget)
        for s in model.block.statements:
            if isinstance(s, EDITS):
                editor.apply(s)
            elif isinstance(s, tree.Let) and model.base is not None:
                scope.names.setdefault(s.name.id, evaluator.value(s.value))
            elif isinstance(s, tree.Require) and model.base is not None:
                if evaluator.truth(s.condition) is False:
                    self.report.error("E0308", s.message.value, s.span)


def check(path: str | os.PathLike[str], limits: Limits | None = None) -> list[Diagnostic]:
    """All diagnostics of all models of a file."""
    limits = limits or Limits()
    try:
        source = read_source(Path(path), limits.text)
    except SpecError as error:
        return list(error.diagnostics)
    return _check(Resolver(source, Path(path), limits))


def check_text(text: str, limits: Limits | None = None) -> list[Diagnostic]:
    """All diagnostics of all models of a text; it can import from `std/` only."""
    return _check(Resolver(Source("<text>", text), None, limits or Limits()))


def _check(resolver: Resolver) -> list[Diagnostic]:
    resolver.check()
    return resolver.report.diagnostics
