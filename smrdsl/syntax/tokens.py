"""tokens: the pieces of a text, and a run through it with the mistakes found."""

from __future__ import annotations

from typing import NamedTuple

from smrdsl.core.errors import Fix, Related, Report
from smrdsl.core.source import Source, Span

MOST_ERRORS = 200
"""Of one text. A text with more is no spec, and its rest is not looked at."""


class Reading:
    """One run through a text: the source, and where its mistakes go."""

    def __init__(self, source: Source, report: Report) -> None:
        self.source = source
        self.full = False
        """Whether the text has more mistakes than anyone will read."""
        self._report = report
        self._places: list[int] = []

    @property
    def failed(self) -> bool:
        return bool(self._places)

    def span(self, start: int, end: int) -> Span:
        return Span(self.source, start, end)

    def error(
        self,
        code: str,
        message: str,
        span: Span,
        *,
        related: tuple[Related, ...] = (),
        fix: Fix | None = None,
    ) -> None:
        """Report a mistake, unless the reading is full."""
        if self.full:
            return
        self._places.append(span.start)
        self._report.error(code, message, span, related=related, fix=fix)
        if len(self._places) == MOST_ERRORS:
            self.full = True
            rest = f"{MOST_ERRORS} mistakes up to here: the rest of the text was not looked at"
            self._report.error("E0101", rest, span)

    def sound(self, span: Span) -> bool:
        """Whether no mistake was found in that part, so that the parser saw what was written."""
        return not any(span.start <= place <= span.end for place in self._places)


class Token(NamedTuple):
    """A piece of the text.

    `type` is the grammar's name for it, `first` says whether it starts its line.
    """

    type: str
    text: str
    start: int
    end: int
    first: bool
    reading: Reading

    @property
    def span(self) -> Span:
        return Span(self.reading.source, self.start, self.end)


class Comment(NamedTuple):
    """`# ...` to the end of its line; `own` says whether it has the line to itself."""

    text: str
    start: int
    own: bool
