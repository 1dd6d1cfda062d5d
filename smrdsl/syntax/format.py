"""format: a text to its canonical form, for `smrdsl fmt`.

The tree gives the words and the order, the author's text what the tree does not say: how numbers
and strings are spelt, which blocks stand on one line, where a line was left free, and the comments.
The meaning never changes: the text that comes out has an equal tree, and formatting it again
changes nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from smrdsl.core.errors import Report
from smrdsl.core.source import Source, Span
from smrdsl.syntax import tree
from smrdsl.syntax.doc import render
from smrdsl.syntax.parse import LARGEST, parse
from smrdsl.syntax.scan import scan
from smrdsl.syntax.show import Printer
from smrdsl.syntax.tokens import Comment, Reading


def format_text(source: Source, report: Report, limit: int = LARGEST) -> str | None:
    """The canonical text of a file; None if it has mistakes, which are then in the report."""
    file = parse(source, report, limit)
    if file is None:
        return None
    return render(Printer(_Written(source)).file(file))


class _Written:
    """The layout of a text."""

    def __init__(self, source: Source) -> None:
        scanned = scan(Reading(source, Report()))
        self.text = source.text
        self.notes = scanned.comments
        self.next_note = 0
        ends = [(c.start, c.start + len(c.text)) for c in scanned.comments]
        pieces = sorted([*ends, *((t.start, t.end) for t in scanned.tokens)])
        self.starts = [start for start, _ in pieces]
        self.ends = [end for _, end in pieces]
        self.closers = [t.start for t in scanned.tokens if t.text == ")"]

    def comments(self, offset: int) -> Sequence[Comment]:
        first = self.next_note
        while self.next_note < len(self.notes) and self.notes[self.next_note].start < offset:
            self.next_note += 1
        return self.notes[first : self.next_note]

    def literal(self, node: tree.Number | tree.Text) -> str:
        return node.span.text

    def on_one_line(self, span: Span) -> bool:
        return self.text.find("\n", span.start, span.end) < 0

    def blank(self, offset: int) -> bool:
        before = bisect_left(self.starts, offset) - 1
        return before >= 0 and self.text.count("\n", self.ends[before], offset) > 1

    def closing(self, offset: int) -> int:
        return self.closers[bisect_left(self.closers, offset)]
