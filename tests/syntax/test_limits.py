"""Texts that are too large, too deep, or no specs at all are soon done with, by a diagnostic."""

from __future__ import annotations

import time

import pytest

from smrdsl.core.errors import Report
from smrdsl.core.source import Source
from smrdsl.syntax.brackets import DEEPEST
from smrdsl.syntax.parse import parse
from smrdsl.syntax.parts import MOST_OPERATORS
from smrdsl.syntax.show import show
from smrdsl.syntax.tokens import MOST_ERRORS
from tests.syntax.reading import codes, formatted, mistakes, well

SIZE = 200_000
# What each text of SIZE bytes must tell, among other things.
JUNK = {
    "(" * SIZE: "E0107",
    "}" * SIZE: "E0103",
    "model a { f(" + "1+" * (SIZE // 2) + "1) }": "E0107",
    "model a { f(" + "2**" * (SIZE // 3) + "1) }": "E0107",
    "model a { f(" + "-" * SIZE + "1) }": "E0107",
    "model a { x := it" + "|>f" * (SIZE // 3) + "}": "E0107",
    "@;" * (SIZE // 2): "E0102",
    '"' * SIZE: "E0101",
    '"' + "\\" * SIZE: "E0108",
    "'" * SIZE: "E0108",
    "1" * SIZE: "E0108",
    "a\n" * (SIZE // 2): "E0101",
    "a{f}\n" * (SIZE // 5): "E0101",
    "(]" * (SIZE // 2): "E0101",
    "model a {\n" + "f(a b)\n" * (SIZE // 7) + "}": "E0101",
    "model a {\n" + "else { f }\n" * (SIZE // 11) + "}": "E0101",
    "model a {" + "b {" * 90 + " f {}" * (SIZE // 5): "E0105",
}


@pytest.mark.parametrize(("text", "code"), JUNK.items(), ids=[text[:14] for text in JUNK])
def test_junk_ends_soon(text: str, code: str) -> None:
    start = time.process_time()
    found = mistakes(text)
    # About 0.4 s at most where this was written: ten times that is no matter of a busy machine.
    assert time.process_time() - start < 4
    assert code in [d.code for d in found]
    assert len(found) <= MOST_ERRORS + 1


def test_too_many_mistakes_are_said_to_be() -> None:
    found = mistakes("model a {\n" + "f(;)\n" * 1000 + "}")
    assert len(found) == MOST_ERRORS + 1
    assert "was not looked at" in found[-1].message or "was not looked at" in found[-2].message


def test_size() -> None:
    text = "model a { gelu }" + " " * 100
    report = Report()
    assert parse(Source("a.smr", text), report, limit=100) is None
    (mistake,) = report.diagnostics
    assert (mistake.code, mistake.message) == ("E0701", "the text has 116 bytes, and 100 is the most")
    assert parse(Source("a.smr", text), Report(), limit=len(text)) is not None
    assert codes("#" * 1_000_000) == []
    assert codes("é" * 500_001) == ["E0701"]


def test_half_of_a_pair_is_no_text() -> None:
    assert codes("model a { \ud800 }") == ["E0102"]


DEEP = {
    "brackets": ("model a { f(" + "[" * (DEEPEST - 2) + "1" + "]" * (DEEPEST - 2) + ") }", "["),
    "blocks": ("model a " + "{ b " * DEEPEST + "}" * DEEPEST, "{ b"),
    "calls": ("model a { x := " + "f(" * (DEEPEST - 1) + "y" + ")" * (DEEPEST - 1) + " }", "f("),
    "sums": ("model a { x := " + "1 + " * MOST_OPERATORS + "1 }", "1 +"),
    "powers": ("model a { x := " + "2 ** " * MOST_OPERATORS + "2 }", "2 **"),
    "signs": ("model a { x := " + "-" * MOST_OPERATORS + "1 }", "-"),
    "flows": ("model a { x := it" + " |> f" * MOST_OPERATORS + " }", "|> f"),
}


@pytest.mark.parametrize(("text", "level"), DEEP.values(), ids=DEEP)
def test_deepest(text: str, level: str) -> None:
    """What the limits allow, everything can walk; one level more is refused."""
    file = well(text)
    assert well(show(file)) == file
    assert well(formatted(text)) == file
    deeper = text.replace(level, f"{level} {level}", 1)
    assert codes(deeper)[:1] == ["E0107"]


def test_a_thousand_layers_are_quick() -> None:
    layer = "  residual { norm(layer)  smr(memory=4)  s4(state=64, dt=0.001..0.1)  gelu  dropout(0.1)  glu }\n"
    text = "model a {\n" + layer * 1000 + "}\n"
    well("")
    start = time.process_time()
    file = well(text)
    assert time.process_time() - start < 3, "about 0.3 s where this was written"
    assert len(file.items[0].block.statements) == 1000
