"""parse: text to tree, with every mistake of the text in one run.

The text is cut into tokens (`scan`), its brackets are matched (`brackets`), and the tokens are fed
to the parser one by one (`run`). Nothing here recurs, so no text is too deep for it, and time and
memory are linear in the text.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from smrdsl.core.errors import Fix, Report
from smrdsl.core.source import Source, Span
from smrdsl.syntax import tree
from smrdsl.syntax.brackets import match_brackets
from smrdsl.syntax.run import Run
from smrdsl.syntax.scan import scan
from smrdsl.syntax.tokens import Reading

LARGEST = 1_000_000
"""Bytes of a text."""


def parse(source: Source, report: Report, limit: int = LARGEST) -> tree.File | None:
    """The tree of a file; None if the text has mistakes, which are then in the report."""
    items = read("file", source, report, limit)
    return None if items is None else tree.File(items, span=Span(source, 0, len(source.text)))


def parse_steps(source: Source, report: Report, limit: int = LARGEST) -> tree.Block | None:
    """The block that a text of statements without braces stands for; None if it has mistakes."""
    statements = read("steps", source, report, limit)
    span = Span(source, 0, len(source.text))
    if statements == ():
        fix = Fix("write `skip` for a step that does nothing")
        report.error("E0105", "there is no step here", span, fix=fix)
    return tree.Block(statements, span=span) if statements else None


def read(start: str, source: Source, report: Report, limit: int) -> tuple | None:
    """The items or statements of a text, None if it has mistakes."""
    reading = Reading(source, report)
    if not _readable(reading, limit):
        return None
    with _garbage_kept():
        scanned = scan(reading)
        brackets = match_brackets(scanned.tokens, scanned.flaws, in_file=start == "file")
        found = Run(start, reading, brackets).run()
    return None if reading.failed else found


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """No garbage collection: there is none, and to look for it among the new nodes doubles the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _readable(reading: Reading, limit: int) -> bool:
    """Whether the text is text, and not too much of it."""
    text = reading.source.text
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as flaw:
        message = "this is one half of a surrogate pair, and no character"
        reading.error("E0102", message, reading.span(flaw.start, flaw.end))
        return False
    if size > limit:
        message = f"the text has {size:,} bytes, and {limit:,} is the most"
        reading.error("E0701", message, reading.span(0, 0))
    return size <= limit
