"""Resolve: from a text to checked models. Reads down: load, check names, expand, edit, complete.

Every mistake lands in the report; a model comes out only where there was none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from smrdsl.core.errors import Diagnostic, Report, SpecError, did_you_mean
from smrdsl.core.source import Source
from smrdsl.ops.contract import Operator
from smrdsl.ops.registry import operators
from smrdsl.spec.complete import complete
from smrdsl.spec.cycles import check_cycles
from smrdsl.spec.edits import Editor
from smrdsl.spec.evaluate import Evaluator
from smrdsl.spec.expand import Expander
from smrdsl.spec.files import Library, Unit, read_source
from smrdsl.spec.heads import bind_chain
from smrdsl.spec.limits import Limits
from smrdsl.spec.model import Model
from smrdsl.spec.names import EDITS, Names
from smrdsl.spec.values import Scope, Value, Word
from smrdsl.spec.wiring import Place, Wiring
from smrdsl.syntax import tree


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

    def load(self) -> bool:
        """Read the text with its imports and check all names; whether models can be expanded."""
        library = Library(self.report, self.limits.text)
        self.unit = library.root(self.source, self.path, self.file)
        units = [u for u in (self.unit, *library.units.values()) if u is not None]
        cyclic = [check_cycles(u, self.report) for u in units]
        for unit in units:
            Names(unit, self.ops, self.report).check()
        return self.unit is not None and not any(cyclic)

    def models(self) -> list[str]:
        """The names of the file's own models, the default first."""
        return [m.name.id for m in self.unit.own_models()] if self.unit else []  # type: ignore[union-attr]

    def check(self) -> None:
        """Check every model of the file."""
        if self.load():
            for name in self.models():
                self.model(name)

    def pick(self, name: str | None) -> str:
        """The model of that name, or the default. Raises `SpecError`."""
        known = self.models()
        if name is None and not known:
            message = "the file has components only, no model, so there is nothing to compile"
            raise SpecError([Diagnostic("E0209", message, file=self.source.path)])
        if name is not None and name not in known:
            hint = did_you_mean(name, known) or f"; it has {', '.join(known)}"
            message = f"no model `{name}` in this file{hint}"
            raise SpecError([Diagnostic("E0209", message, file=self.source.path)])
        return name or known[0]

    def model(self, name: str, overrides: Mapping[str, Value] | None = None) -> Model | None:
        """One model, expanded, edited and completed; None where it has mistakes."""
        assert self.unit is not None
        chain = self._chain(*self.unit.models[name])
        if chain is None:
            return None
        wiring = Wiring(self.report)
        expander = Expander(self.report, wiring, self.limits, self.ops)
        scopes = bind_chain(chain, overrides or {}, self.report)
        if scopes is None:
            return None
        base, home = chain[-1]
        leaves = expander.block(base.block, scopes[-1], Place(), None, home)
        wiring.output = leaves.key if leaves else ""
        for (model, unit), scope in zip(reversed(chain), reversed(scopes), strict=True):
            self._edit(model, unit, scope, expander)
        return complete(chain[0][0].name, self.source, dict(scopes[0].names), wiring, self.limits)

    def _chain(self, model: tree.Model, unit: Unit) -> list[tuple[tree.Model, Unit]] | None:
        """The model, what it extends, and so on to the one with a block of its own."""
        chain = [(model, unit)]
        while model.base is not None:
            target = unit.model(model.base)
            if target is None:
                return None
            model, unit = target
            chain.append(target)
        return chain

    def _edit(self, model: tree.Model, unit: Unit, scope: Scope, expander: Expander) -> None:
        """Apply the edits of one model; its lets are seen by those that follow."""
        scope = scope.inner()
        editor = Editor(expander.wiring, self.report, self.ops, unit, scope)
        evaluator = Evaluator(scope, self.report, unit)
        for s in model.block.statements:
            if isinstance(s, EDITS):
                editor.apply(s)
            elif isinstance(s, tree.Let):
                value = evaluator.value(s.value)
                value = evaluator.unknown(value) if isinstance(value, Word) else value
                scope.names.setdefault(s.name.id, value)
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
    try:
        resolver.check()
    except SpecError as error:  # a limit was reached
        return list(error.diagnostics)
    return resolver.report.diagnostics
