"""Files: reads a text with its imports, each file once, into units.

`std/...` is the library inside the package; any other import is relative to the importing file. Only regular `.smr`
files are read, and imports do not lead back.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from smrdsl.core.errors import Diagnostic, Related, Report, SpecError
from smrdsl.core.source import Source
from smrdsl.spec.evaluate import Evaluator
from smrdsl.spec.limits import Limits
from smrdsl.spec.units import Unit
from smrdsl.spec.values import POISON
from smrdsl.syntax import tree
from smrdsl.syntax.parse import parse

STD = Path(__file__).parent.parent / "std"
TEXT_LIMIT = 1_000_000


def read_source(path: Path, limit: int = TEXT_LIMIT, name: str | None = None) -> Source:
    """The text of a regular UTF-8 file, shown under `name` or its path. Raises `SpecError`."""

    def refuse(code: str, message: str) -> SpecError:
        return SpecError([Diagnostic(code, message, file=str(path))])

    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise refuse("E0601", f"{path} is a directory; name a .smr file")
        if not stat.S_ISREG(status.st_mode):
            raise refuse("E0601", f"{path} is not a regular file")
        if status.st_size > limit:
            raise refuse("E0701", f"{path} has {status.st_size:,} bytes of text, more than {limit:,}")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise refuse("E0601", f"cannot read {path}: {reason}") from None
    try:
        return Source(name or os.fsencode(path).decode(errors="replace"), data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 text: byte {error.start + 1:,} is 0x{data[error.start]:02x}"
        raise refuse("E0601", message) from None


class Library:
    """Reads files with their imports, each once."""

    def __init__(self, report: Report, limits: Limits) -> None:
        self.report = report
        self.limits = limits
        self.units: dict[Path, Unit | None] = {}
        self._open: list[Path] = []

    def load(self, source: Source, path: Path | None) -> Unit | None:
        """The unit of a text, None where it cannot be parsed. `path` is where its imports are looked for."""
        file = parse(source, self.report, limit=self.limits.text)
        return self.unit_of(file, path) if file else None

    def unit_of(self, file: tree.File, path: Path | None) -> Unit:
        """The unit of a parsed file: its names, and those of its imports."""
        unit = Unit(file, path)
        origin: dict[str, tree.Node] = {}
        for item in file.items:
            match item:
                case tree.Import():
                    self._import(item, unit, origin)
                case tree.Component():
                    self._define(item.name, origin, unit)
                    unit.components[item.name.id] = (item, unit)
                case tree.Model():
                    self._define(item.name, origin, unit)
                    unit.models[item.name.id] = (item, unit)
                case tree.Let():
                    self._define(item.name, origin, unit)
                    self._let(item, unit)
        return unit

    def _let(self, item: tree.Let, unit: Unit) -> None:
        unit.let_items[item.name.id] = (item, unit)
        unit.lets.names[item.name.id] = Evaluator(unit.lets, self.report, unit).value(item.value)

    def _define(self, name: tree.Name, origin: dict[str, tree.Node], unit: Unit) -> bool:
        """Note that a name is taken; report a second definition."""
        first = origin.setdefault(name.id, name)
        if first is name:
            return True
        imported = isinstance(first, tree.Import)
        self.report.error(
            "E0203",
            f"`{name.id}` is {'imported' if imported else 'defined'} already in this file",
            name.span,
            related=[Related("first here", first.span)],
        )
        return False

    def _import(self, item: tree.Import, unit: Unit, origin: dict[str, tree.Node]) -> None:
        library = self._open_import(item, unit)
        if library is None:
            self._lack(item, unit)
            return
        if item.alias:
            if self._define(item.alias, origin, unit):
                unit.aliases[item.alias.id] = library
            return
        unit.imported.append(library)
        for name, table, definition in library.public():
            first = origin.setdefault(name, item)
            if first is not item:
                self.report.error(
                    "E0603",
                    f'`{name}` of "{item.path.value}" clashes with another; import it `as` a prefix',
                    item.span,
                    related=[Related("the other", first.span)],
                )
                continue
            getattr(unit, table)[name] = definition
            if table == "let_items":
                unit.lets.names[name] = library.lets.names[name]

    def _lack(self, item: tree.Import, unit: Unit) -> None:
        """Note that an import failed, so that what it would bring is not reported as unknown."""
        if item.alias is None:
            unit.lacks_names = True
        else:
            unit.lost_aliases.add(item.alias.id)
            unit.lets.names[item.alias.id] = POISON

    def _open_import(self, item: tree.Import, unit: Unit) -> Unit | None:
        written = item.path.value
        if not written.endswith(".smr") or "\0" in written:
            self.report.error("E0602", f'"{written}" is not a .smr file', item.path.span)
            return None
        if written.startswith("std/"):
            path = STD / written.removeprefix("std/")
            if path.parent != STD or not path.is_file():
                near = self.report.nearest(path.stem, sorted(p.stem for p in STD.glob("*.smr")))
                hint = f', did you mean "std/{near}.smr"?' if near else ""
                message = f'the library has no "{written}"{hint}'
                self.report.error("E0602", message, item.path.span)
                return None
        elif unit.path is None:
            message = f'"{written}" is relative to a file, and this text has none'
            self.report.error("E0602", message, item.path.span)
            return None
        else:
            path = unit.path.parent / written
        return self._read(path, item)

    def _read(self, path: Path, item: tree.Import) -> Unit | None:
        real = Path(os.path.realpath(path))
        if real in self._open:
            way = " -> ".join(p.name for p in [*self._open[self._open.index(real) :], real])
            self.report.error("E0207", f"imports lead back to themselves: {way}", item.path.span)
            return None
        if len(self._open) >= self.limits.depth:
            message = f"imports are nested more than {self.limits.depth} deep"
            self.report.error("E0704", message, item.path.span)
            return None
        if real not in self.units:
            self.units[real] = None
            try:
                source = read_source(path, self.limits.text, f"std/{path.name}" if path.parent == STD else None)
            except SpecError as error:
                code = "E0701" if error.diagnostics[0].code == "E0701" else "E0602"
                self.report.error(code, error.diagnostics[0].message, item.path.span)
                return None
            self._open.append(real)
            self.units[real] = self.load(source, _itself(path))
            self._open.pop()
        return self.units[real]

    def root(self, source: Source, path: Path | None, file: tree.File | None = None) -> Unit | None:
        """The unit of the text that a user gave, or of a tree that stands for it."""
        self._open = [Path(os.path.realpath(path))] if path else []
        place = path and _itself(path)
        return self.unit_of(file, place) if file else self.load(source, place)


def _itself(path: Path) -> Path:
    """The file that a path means: of a symbolic link the one that it leads to, beside which its imports are."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path
