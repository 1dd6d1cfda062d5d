"""The canonical form: `format/NAME.smr` beside `format/NAME.fmt`, and what it does with odd texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from smrdsl.core.errors import Report
from smrdsl.core.source import Source
from smrdsl.syntax.format import format_text
from tests.syntax.reading import formatted, well

CASES = sorted((Path(__file__).parent / "format").glob("*.smr"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_case(case: Path, golden) -> None:
    text = case.read_text(encoding="utf-8")
    once = formatted(text)
    golden(case.with_suffix(".fmt"), once)
    assert formatted(once) == once
    assert well(once) == well(text)


def test_windows_texts() -> None:
    text = "\ufeff# a\r\nmodel a {\r\n\tf   # tab\r\n\r\n\r\n\tg\r\n}"
    assert formatted(text) == "# a\nmodel a {\n  f  # tab\n\n  g\n}\n"


def test_a_text_with_mistakes_is_left_alone() -> None:
    report = Report()
    assert format_text(Source("a.smr", "model a { f( }"), report) is None
    assert [d.code for d in report.diagnostics] == ["E0103"]


def test_blocks_stay_as_they_were_written() -> None:
    for text in ("model a { f  g }\n", "model a {\n  f\n  g\n}\n", "model a {\n  f { g  h }\n}\n"):
        assert formatted(text) == text


def test_one_hundred_columns() -> None:
    """The last line that fits is kept, the first that does not is broken."""
    head, tail = "model a {\n  f(a=1, b=", ")\n}\n"
    fits = "x" * (100 - len("  f(a=1, b=)"))
    assert formatted(head + fits + tail) == head + fits + tail
    assert formatted(head + fits + "x" + tail) == f"model a {{\n  f(\n    a=1,\n    b={fits}x,\n  )\n}}\n"
    block = "model a { f  " + "x" * (100 - len("model a { f   }")) + " }\n"
    assert len(block) == 101
    assert formatted(block) == block
    assert formatted(block.replace("f ", "ff ")).startswith("model a {\n  ff\n")
