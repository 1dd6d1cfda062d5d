"""After a mistake the rest is read as if it had not been made: one mistake, one diagnostic."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from smrdsl.syntax.parse import parse, parse_steps
from tests.syntax.reading import codes, mistakes, scanned

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.smr"))
SIGNS = "{ } ( ) [ ] = := : , |> + - ** .. . \n ; ' \" @ é 1. 64"
WORDS = "model a repeat when else let as where it body branch place before not"
PIECES = [*SIGNS.split(" "), *WORDS.split(), '"x"']


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_one_token_is_missing(path: Path) -> None:
    """Taking one token out of a file makes one diagnostic, once in a file two, or is no mistake."""
    text = path.read_text(encoding="utf-8")
    tokens = scanned(text).tokens[:-1]
    counts = [len(mistakes(text[: t.start] + text[t.end :])) for t in tokens]
    assert max(counts) <= 2
    assert sum(count == 2 for count in counts) <= 1


@pytest.mark.parametrize("seed", range(4))
def test_anything_is_read_to_its_end(seed: int) -> None:
    """A tree or a diagnostic comes out of any text, whatever is done to it (`mistakes` checks that)."""
    rnd = random.Random(seed)
    texts = [path.read_text(encoding="utf-8") for path in EXAMPLES]
    for _ in range(60):
        text = rnd.choice(texts)
        for _ in range(rnd.choice((1, 2, 5, 20))):
            at = rnd.randrange(len(text) + 1)
            end = at + rnd.choice((0, 0, 1, 8, 40))
            text = text[:at] + rnd.choice(PIECES) + text[end:]
        mistakes(text, rnd.choice((parse, parse_steps)))


def test_errors_in_all_places() -> None:
    """Each of these mistakes is far enough from the others to be told in the same run."""
    found = mistakes(
        "component a(x, x y) { gelu( }\n"
        "let = 3\n"
        "model b {\n"
        "  repeat 2 { f(1 2)  }\n"
        "  when x = 3 { g(;) } else { h(] }\n"
        "}\n"
        "model c extends { remove }\n"
    )
    assert [(d.line, d.code) for d in found] == [
        (1, "E0101"),
        (1, "E0103"),
        (2, "E0101"),
        (4, "E0101"),
        (5, "E0101"),
        (5, "E0102"),
        (5, "E0103"),
        (7, "E0101"),
        (7, "E0101"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "s4(64] gelu",
        "f({a: 1})",
        "x := {a: 1}",
        "repeat 2 { f( }",
        "when a { f } elif b == 1 { g } else { h }",
        "else { f }",
        "f(a @ b)",
        "héllo(3)",
        "12abc(3)",
    ],
)
def test_one_mistake_in_steps(text: str) -> None:
    assert len(codes(text, parse_steps)) == 1
