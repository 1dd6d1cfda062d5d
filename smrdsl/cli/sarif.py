"""Diagnostics as SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format), for code hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from smrdsl import __version__
from smrdsl.core.codes import CODES
from smrdsl.core.errors import Diagnostic, Fix
from smrdsl.core.source import Span

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_sarif(diagnostics: Sequence[Diagnostic]) -> dict[str, Any]:
    """A log of one run; columns count code points, and an end is just behind the last one."""
    rules = [
        {"id": code, "shortDescription": {"text": about.title}, "help": {"text": about.explanation}}
        for code, about in CODES.items()
        if code in {d.code for d in diagnostics}
    ]
    driver = {"name": "smrdsl", "version": __version__, "rules": rules}
    results = [_result(d) for d in diagnostics]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(d: Diagnostic) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": d.code,
        "level": d.severity,
        "message": {"text": d.message if d.fix is None else f"{d.message} ({d.fix.message})"},
        "locations": [_location(d.path, d.span)],
    }
    if d.related:
        result["relatedLocations"] = [
            {**_location(r.span.source.path, r.span), "message": {"text": r.message}} for r in d.related
        ]
    if d.fix is not None and d.fix.span is not None and d.fix.replacement is not None:
        result["fixes"] = [_fix(d.fix, d.fix.span)]
    return result


def _location(path: str, span: Span | None) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": _artifact(path)}
    if span is not None:
        place["region"] = _region(span)
    return {"physicalLocation": place}


def _artifact(path: str) -> dict[str, str]:
    return {"uri": quote(path, errors="replace")}


def _region(span: Span) -> dict[str, int]:
    line, column = span.end_position
    return {"startLine": span.line, "startColumn": span.column, "endLine": line, "endColumn": column}


def _fix(fix: Fix, span: Span) -> dict[str, Any]:
    replacement = {"deletedRegion": _region(span), "insertedContent": {"text": fix.replacement}}
    change = {"artifactLocation": _artifact(span.source.path), "replacements": [replacement]}
    return {"description": {"text": fix.message}, "artifactChanges": [change]}
