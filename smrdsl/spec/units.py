"""Units: files that were parsed, with their lets, components, models and imports by name.

Imports are not transitive, and names that start with `_` stay private.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from smrdsl.core.errors import Report
from smrdsl.core.source import Span
from smrdsl.spec.values import Scope
from smrdsl.spec.walk import walk
from smrdsl.syntax import tree

Item = tree.Component | tree.Model | tree.Let
"""What a file defines."""


@dataclass(frozen=True, slots=True)
class Use:
    """A place of a text that stands for a definition at the top of a file, which need not be the same."""

    span: Span
    item: Item
    unit: Unit


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a component by name, in their order, and the names of those without a default."""

    names: dict[str, tree.Parameter]
    needed: tuple[str, ...]


@dataclass(slots=True, eq=False)
class Unit:
    """A parsed file. The tables of definitions hold imported ones too, each with the unit that it was written in.

    `lets` are the values of `let_items`. `uses` says, for an item of this file by its id, which definitions it uses.
    """

    file: tree.File
    path: Path | None
    lets: Scope = field(default_factory=Scope)
    let_items: dict[str, tuple[tree.Let, Unit]] = field(default_factory=dict)
    components: dict[str, tuple[tree.Component, Unit]] = field(default_factory=dict)
    models: dict[str, tuple[tree.Model, Unit]] = field(default_factory=dict)
    aliases: dict[str, Unit] = field(default_factory=dict)
    imported: list[Unit] = field(default_factory=list)
    lost_aliases: set[str] = field(default_factory=set)
    lacks_names: bool = False
    """Whether an import failed, so that unknown names are no news; failed prefixes are `lost_aliases`."""
    uses: dict[int, list[Use]] = field(default_factory=dict)
    _takes_body: dict[int, bool] = field(default_factory=dict)
    _signatures: dict[int, Signature] = field(default_factory=dict)

    def own_components(self) -> list[tree.Component]:
        """The components written in this file."""
        return [item for item in self.file.items if isinstance(item, tree.Component)]

    def own_models(self) -> list[tree.Model]:
        """The models written in this file."""
        return [item for item in self.file.items if isinstance(item, tree.Model)]

    def component(self, callee: tree.Name | tree.Dotted) -> tuple[tree.Component, Unit] | None:
        """The component that a callee names, with its unit."""
        return self._find(callee, "components")

    def model(self, callee: tree.Name | tree.Dotted) -> tuple[tree.Model, Unit] | None:
        return self._find(callee, "models")

    def let(self, name: tree.Name | tree.Dotted) -> tuple[tree.Let, Unit] | None:
        return self._find(name, "let_items")

    def _find(self, name: tree.Name | tree.Dotted, table: str):
        if isinstance(name, tree.Name):
            return getattr(self, table).get(name.id)
        library = self.aliases.get(name.base)
        if library is None or name.attribute.startswith("_"):
            return None
        found = getattr(library, table).get(name.attribute)
        return found if found and found[1] is library else None

    def is_private(self, name: tree.Name | tree.Dotted, table: str) -> bool:
        """Whether an imported file has a definition of this name, for itself."""
        base, _, last = name.spelled.rpartition(".")
        others = [self.aliases[base]] if base in self.aliases else [] if base else self.imported
        return last.startswith("_") and any(last in getattr(unit, table) for unit in others)

    def no_let(self, e: tree.Dotted, report: Report) -> tuple[str, str] | None:
        """The code and the message of what is wrong with `zoo.size` as a value; None where it is one."""
        library = self.aliases.get(e.base)
        if library is None:
            hint = report.hint(e.base, (*self.lets.names, *self.aliases))
            return "E0201", f"`{e.base}` is no tap and no imported file{hint}"
        if e.attribute.startswith("_"):
            return "E0603", f"`{e.attribute}` is private to its file"
        if self.let(e) is None:
            return "E0201", f"`{e.base}` has no `let {e.attribute}`{report.hint(e.attribute, library.let_items)}"
        return None

    def takes_body(self, component: tree.Component) -> bool:
        """Whether a component of this file says `body`."""
        if id(component) not in self._takes_body:
            self._takes_body[id(component)] = any(isinstance(s, tree.Body) for s in walk(component.block))
        return self._takes_body[id(component)]

    def signature(self, component: tree.Component) -> Signature:
        """What a component of this file takes; found once, since a text may use it as often as it is long."""
        if id(component) not in self._signatures:
            needed = tuple(p.name.id for p in component.parameters if p.default is None)
            self._signatures[id(component)] = Signature({p.name.id: p for p in component.parameters}, needed)
        return self._signatures[id(component)]

    def component_names(self) -> list[str]:
        prefixed = (
            f"{alias}.{c.name.id}"
            for alias, unit in self.aliases.items()
            for c in unit.own_components()
            if not c.name.id.startswith("_")
        )
        return [*self.components, *prefixed]

    def public(self) -> Iterator[tuple[str, str, object]]:
        """(name, table, definition) of what the file's own text offers to others."""
        for table in ("components", "models", "let_items"):
            for name, definition in getattr(self, table).items():
                if definition[1] is self and not name.startswith("_"):
                    yield name, table, definition
