"""How diagnostics are told: as text with the part underlined, as JSON, as SARIF, or as GitHub annotations.

Diagnostics go to standard error as text, to standard output where a program reads them. Colour only on a
terminal, and what a stranger's text holds never steers it.
"""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Sequence
from typing import TextIO

from smrdsl.cli.sarif import as_sarif
from smrdsl.core.errors import Diagnostic
from smrdsl.core.source import Span

COLOURS = {"error": "1;31", "warning": "1;33", "place": "1;34", "note": "36"}
STYLES = ("text", "json", "github", "sarif")
WIDEST = 160


def paint(text: str, style: str, stream: TextIO) -> str:
    """Text in a colour, where the stream is a terminal and NO_COLOR is not set."""
    if not stream.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{COLOURS[style]}m{text}\033[0m"


def visible(text: str) -> str:
    """Text with a sign in the place of what would steer a terminal, but for tabs and line ends."""
    return "".join(c if c.isprintable() or c in "\t\n" else "\ufffd" for c in text)


def tell(diagnostics: Sequence[Diagnostic], style: str = "text", quiet: bool = False) -> None:
    """Print diagnostics in one of `STYLES`."""
    if quiet:
        return
    if style == "json":
        print(json.dumps([as_dict(d) for d in diagnostics], indent=1))
    if style == "sarif":
        print(json.dumps(as_sarif(diagnostics), indent=1))
    for d in diagnostics:
        if style == "github":
            print(as_github(d))
        elif style == "text":
            print(as_text(d, sys.stderr), file=sys.stderr)


def as_text(d: Diagnostic, stream: TextIO) -> str:
    """`path:line:column: error E0301: message`, the line with the part underlined, related places, fix."""
    where = visible(f"{d.path}:{d.line}:{d.column}:" if d.span else f"{d.path}:")
    what = paint(f"{d.severity} {d.code}", d.severity, stream)
    lines = [f"{paint(where, 'place', stream)} {what}: {visible(d.message)}"]
    if d.span:
        lines += excerpt(d.span, "^", stream, d.severity)
    for related in d.related:
        lines.append(f"  {paint(visible(str(related.span)), 'place', stream)}: {visible(related.message)}")
        lines += excerpt(related.span, "-", stream, "note")
    if d.fix:
        lines.append(f"  {paint('fix', 'note', stream)}: {visible(d.fix.message)}")
    return "\n".join(lines)


def excerpt(span: Span, mark: str, stream: TextIO, style: str) -> list[str]:
    """The source line and, under it, marks below each character of the part; long lines are cut around it."""
    text = visible(span.source.line(span.line))
    start = span.column - 1
    stop = min(len(text), start + max(1, span.end - span.start))
    cut = max(0, start - WIDEST // 2) if len(text) > WIDEST else 0
    text, start, stop = text[cut : cut + WIDEST], start - cut, min(stop - cut, WIDEST)
    pad = "".join("\t" if c == "\t" else " " * cells(c) for c in text[:start])
    number = str(span.line)
    marks = paint(mark * max(1, sum(map(cells, text[start:stop]))), style, stream)
    return [f"  {number} | {text}", f"  {' ' * len(number)} | {pad}{marks}"]


def cells(character: str) -> int:
    """How many columns of a terminal a character takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def as_dict(d: Diagnostic) -> dict[str, object]:
    """What a program reads."""
    end_line, end_column = d.end
    fix = d.fix and {
        "message": d.fix.message,
        "replacement": d.fix.replacement,
        "start": _position(d.fix.span, 0),
        "end": _position(d.fix.span, 1),
    }
    return {
        "code": d.code,
        "severity": d.severity,
        "message": d.message,
        "path": d.path,
        "line": d.line,
        "column": d.column,
        "end_line": end_line,
        "end_column": end_column,
        "related": [
            {"message": r.message, "path": r.span.source.path, "line": r.span.line, "column": r.span.column}
            for r in d.related
        ],
        "fix": fix,
    }


def _position(span: Span | None, end: int) -> list[int] | None:
    if span is None:
        return None
    return list(span.end_position if end else (span.line, span.column))


def as_github(d: Diagnostic) -> str:
    """A workflow command that GitHub shows at the line."""
    end_line, end_column = d.end
    message = d.message if not d.fix else f"{d.message} ({d.fix.message})"

    def escape(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    path = escape(d.path).replace(":", "%3A").replace(",", "%2C")
    place = f"file={path},line={d.line},col={d.column},endLine={end_line},endColumn={end_column}"
    return f"::{d.severity} {place},title={d.code}::{escape(message)}"
