"""Diagnostics: what can be wrong with a spec, told with its place, cause and fix.

A mistake of the user is a `Diagnostic`; the ones of a run travel in a `SpecError`. A mistake of ours is an
`AssertionError`. The codes, with their explanations, are one table in `codes.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from smrdsl.core.codes import CODES
from smrdsl.core.source import Span


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that belongs to a diagnostic, and what it has to do with it."""

    message: str
    span: Span


@dataclass(frozen=True, slots=True)
class Fix:
    """A repair: what it does, and the text that stands in for `span` where that is known for certain."""

    message: str
    span: Span | None = None
    replacement: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong. `span` is None where there is no text to point at (a file that cannot be read)."""

    code: str
    message: str
    span: Span | None = None
    severity: str = "error"
    related: tuple[Related, ...] = ()
    fix: Fix | None = None
    file: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        assert self.code in CODES, self.code
        assert self.severity in ("error", "warning"), self.severity

    @property
    def path(self) -> str:
        return self.span.source.path if self.span else self.file

    @property
    def line(self) -> int:
        return self.span.line if self.span else 1

    @property
    def column(self) -> int:
        return self.span.column if self.span else 1

    @property
    def end(self) -> tuple[int, int]:
        """(line, column) just behind the part that is wrong."""
        return self.span.end_position if self.span else (1, 1)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.severity} {self.code}: {self.message}"


class SmrError(Exception):
    """Any mistake of the user's that smrdsl tells about; the command line prints it without a traceback."""


class SpecError(SmrError):
    """A spec that has errors. `diagnostics` holds all of them, warnings too."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(d) for d in self.diagnostics))


HINTS = 200
"""How many misspelt names are looked up in a run: a text of nothing but mistakes is told in bounded time."""


class Report:
    """Collects diagnostics, one for each code and place, in the order of their places."""

    def __init__(self) -> None:
        self._found: dict[tuple[object, ...], Diagnostic] = {}
        self.told = 0
        """How many errors were told, those that were known already counted again."""
        self._hints = 0

    def add(self, diagnostic: Diagnostic) -> None:
        self.told += diagnostic.severity == "error"
        place = diagnostic.span and (diagnostic.span.source.path, diagnostic.span.start)
        self._found.setdefault((diagnostic.code, place or diagnostic.message), diagnostic)

    def error(
        self,
        code: str,
        message: str,
        span: Span | None,
        *,
        related: Iterable[Related] = (),
        fix: Fix | None = None,
        severity: str = "error",
    ) -> None:
        self.add(Diagnostic(code, message, span, severity, tuple(related), fix))

    def nearest(self, name: str, known: Iterable[str]) -> str | None:
        """As the function of this name, for the first names that are asked for; never the name itself."""
        self._hints += 1
        others = (k for k in known if k != name)
        return nearest(name, islice(others, 1000)) if self._hints <= HINTS else None

    def hint(self, name: str, known: Iterable[str]) -> str:
        """`, did you mean `x`?` or nothing."""
        near = self.nearest(name, known)
        return f", did you mean `{near}`?" if near else ""

    @property
    def diagnostics(self) -> list[Diagnostic]:
        return sorted(self._found.values(), key=lambda d: (d.path, d.line, d.column, d.code))

    @property
    def failed(self) -> bool:
        return any(d.severity == "error" for d in self._found.values())

    def raise_errors(self) -> None:
        """Raise `SpecError` if there is an error."""
        if self.failed:
            raise SpecError(self.diagnostics)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` is most likely a misspelling of."""
    known = list(known)
    folded = {k.lower(): k for k in reversed(known)}
    close = difflib.get_close_matches(name.lower(), list(folded), n=1, cutoff=0.65)
    return folded[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`, did you mean `x`?` or nothing."""
    near = nearest(name, known)
    return f", did you mean `{near}`?" if near else ""
