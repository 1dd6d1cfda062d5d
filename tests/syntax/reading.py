"""How the tests of this room read texts, and write down what they were told."""

from __future__ import annotations

from collections.abc import Callable

from smrdsl.core.errors import Diagnostic, Report
from smrdsl.core.source import Source, Span
from smrdsl.syntax import tree
from smrdsl.syntax.format import format_text
from smrdsl.syntax.parse import parse, parse_steps
from smrdsl.syntax.scan import Scan, scan
from smrdsl.syntax.tokens import Reading


def well(text: str, read: Callable = parse) -> tree.File | tree.Block | str:
    """What a text reads as; it has no mistakes."""
    report = Report()
    found = read(Source("case.smr", text), report)
    assert not report.diagnostics, report.diagnostics
    assert found is not None
    return found


def steps(text: str) -> tuple[tree.Statement, ...]:
    """The statements of a text without braces."""
    return well(text, parse_steps).statements


def expression(text: str) -> tree.Expression:
    """An expression, read as a flow."""
    return steps(f"x := {text}")[0].flow


def formatted(text: str) -> str:
    return well(text, format_text)


def mistakes(text: str, read: Callable = parse) -> list[Diagnostic]:
    """The mistakes of a text; a tree comes out if there are none, and only then."""
    report = Report()
    found = read(Source("case.smr", text), report)
    assert (found is None) == bool(report.diagnostics)
    return report.diagnostics


def codes(text: str, read: Callable = parse) -> list[str]:
    return [d.code for d in mistakes(text, read)]


def scanned(text: str) -> Scan:
    """The tokens and comments of a text that has no mistakes."""
    return scan(Reading(Source("case.smr", text), Report()))


def place(span: Span) -> str:
    (line, column), (last, end) = (span.line, span.column), span.end_position
    return f"{line}:{column}" if span.start == span.end else f"{line}:{column}-{last}:{end}"


def told(text: str) -> str:
    """All mistakes of a text: place, code and message, below it what belongs to it and the fix."""
    lines = []
    for d in mistakes(text):
        lines.append(f"{place(d.span)} {d.code} {d.message}")
        lines += [f"    {place(r.span)} {r.message}" for r in d.related]
        if d.fix:
            lines.append(f"    fix: {d.fix.message}")
        if d.fix and d.fix.replacement is not None:
            lines.append(f"         {place(d.fix.span)} {d.fix.span.text!r} -> {d.fix.replacement!r}")
    return "\n".join([*lines, ""])


def mended(text: str) -> str:
    """A text after all fixes that are known for certain."""
    fixes = [d.fix for d in mistakes(text) if d.fix and d.fix.replacement is not None]
    for fix in sorted(fixes, key=lambda f: f.span.start, reverse=True):
        text = text[: fix.span.start] + fix.replacement + text[fix.span.end :]
    return text
