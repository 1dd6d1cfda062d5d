"""Every mistake of the text, as it is told: `cases/NAME.smr` beside `cases/NAME.err`."""

from __future__ import annotations

from pathlib import Path

import pytest

from smrdsl.core.codes import CODES
from tests.syntax.reading import codes, mended, told

CASES = sorted((Path(__file__).parent / "cases").glob("*.smr"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_case(case: Path, golden) -> None:
    text = case.read_text(encoding="utf-8")
    assert case.stem[:5].upper() in codes(text)
    golden(case.with_suffix(".err"), told(text))


def test_every_code_of_a_text_has_a_case() -> None:
    assert {c for c in CODES if c.startswith("E01")} == {case.stem[:5].upper() for case in CASES}


# One mistake, one diagnostic, and its fix mends it.
@pytest.mark.parametrize(
    "text",
    [
        "model a { s4(64); gelu }",
        "model a { s4(64), gelu }",
        "model a { x = it |> gelu }",
        "model a { n = 3  linear(n) }",
        "model a { f(x: 3) }",
        "model a { f(x := 3) }",
        "model a { let x := 3  gelu }",
        "let x == 3",
        "hidden = 64",
        "model a { s4(state=64\n gelu }",
        "model a { f([1, 2) gelu }",
        "model a { f(1] gelu }",
        "model a { gelu) norm }",
        "model a { gelu } }",
        "model a {\n  gelu\n\nmodel b { gelu }",
        "model a {\n  repeat 2 {\n    gelu\n}",
        "model a { f(a b) }",
        "model a { f(True) }",
        "model a { f(None) }",
        "model a { f('x') }",
        "model a { f(“x”) }",
        'model a { f("x) }',
        'model a { f("C:\\data") }',
        "model a { f(1__0) }",
        "model a { f(0x10) }",
        "model a { f(1.) }",
        "model a { f(.5) }",
        "model a { when a == 1 { b } elif c == 2 { d } }",
        "model a { when a { b } else if c { d } }",
        "model a { when a&&b { c } }",
        "model a { when !a { c } }",
        "model a { f(2 ^ 3) }",
        "model a { repeat 2 { } }",
        "model a { x := a + b |> gelu }",
        "model a { x := it |> gelu + 1 }",
        "modle a { gelu }",
        "model a extends b { place c befor d }",
    ],
)
def test_fix_mends(text: str) -> None:
    assert len(codes(text)) == 1
    assert codes(mended(text)) == []
