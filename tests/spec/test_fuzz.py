"""Texts that nobody meant: specs with tokens changed, moved or cut off. Whatever they are, they are soon told about."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from smrdsl.compiler import lower_source
from smrdsl.core.errors import Report, SpecError
from smrdsl.core.source import Source
from smrdsl.ops.registry import operators
from smrdsl.spec.limits import Limits
from smrdsl.spec.resolve import check_text
from smrdsl.syntax.scan import scan
from smrdsl.syntax.tokens import Reading

ROOT = Path(__file__).parents[2]
TEXTS = [
    path.read_text(encoding="utf-8")
    for path in sorted([*(ROOT / "tests" / "examples").rglob("*.smr"), *(ROOT / "specs").glob("*.smr"),
                        *(ROOT / "tests" / "spec" / "err").glob("*.smr"), *(ROOT / "smrdsl" / "std").glob("*.smr")])
]  # fmt: skip
LIMITS = Limits(nodes=2_000)
SECONDS = 2
"""For one text; twenty times what any takes where this was written."""

PIECES = """{ } ( ) [ ] = := : , . .. |> + - * / // % ** == != < <= > >= 0 1 2 3 64 -1 1e9 0.5 1e-30 99999999999 "x"
    true false none it body width x i m layer rms zoo.x import let component model extends repeat as when else place
    before after replace with remove execute where and or not require branch min max ceil log2 residual parallel
    bidirectional gated tie=tok label: ssm norm act mixer""".split() + sorted(operators())  # fmt: skip


def tokens(text: str) -> list[str]:
    return [t.text for t in scan(Reading(Source("<text>", text), Report())).tokens[:-1]]


def told(text: str) -> bool:
    """Whether a text has no mistake; it takes no time, and compiles exactly if it has none."""
    start = time.process_time()
    found = check_text(text, LIMITS)
    for diagnostic in found:
        assert str(diagnostic)
        assert diagnostic.message
        assert "Error" not in diagnostic.message, "an exception shows through"
    sound = not any(d.severity == "error" for d in found)
    codes: list[str] = []
    try:
        lower_source(Source("<text>", text), limits=LIMITS)
    except SpecError as error:
        codes = [d.code for d in error.diagnostics]
    assert not sound or codes in ([], ["E0209"]), "only a library has no mistakes and cannot be compiled"
    assert time.process_time() - start < SECONDS, text
    return sound


def mutated(words: list[str], rnd: random.Random) -> list[str]:
    """The tokens of a text after one change."""
    words = list(words)
    at = rnd.randrange(len(words))
    match rnd.randrange(6):
        case 0:
            del words[at]
        case 1:
            words.insert(at, rnd.choice(PIECES))
        case 2:
            words[at] = rnd.choice(PIECES)
        case 3:
            words[at] = rnd.choice(words)
        case 4:
            other = rnd.randrange(len(words))
            words[at], words[other] = words[other], words[at]
        case _:
            start, end = sorted((at, min(len(words), at + rnd.randrange(1, 12))))
            to = rnd.randrange(len(words))
            words[to:to] = words[start:end]
    return words


@pytest.mark.parametrize("seed", range(6))
def test_changed_tokens(seed: int) -> None:
    rnd = random.Random(seed)
    for _ in range(80):
        words = tokens(rnd.choice(TEXTS))
        for _ in range(rnd.choice((1, 1, 1, 2, 4))):
            words = mutated(words, rnd)
        told(" ".join(words))


@pytest.mark.parametrize("seed", range(2))
def test_values_of_other_kinds(seed: int) -> None:
    """A right text with numbers, words and names exchanged goes deeper than one that does not parse."""
    rnd, sound = random.Random(seed), 0
    values = ["0", "1", "3", "2.5", "1e300", "-2", "true", "none", "width", "layer", '"x"', "[1, 2]", "0.1..0.2",
              "1 / 0", "2 ** 40", "x", "i", "it", "not true", "min(1, width)", "zoo.x", "9007199254740993"]  # fmt: skip
    for _ in range(80):
        words = tokens(rnd.choice(TEXTS))
        places = [i for i, w in enumerate(words) if w[0].isdigit() or w in ("true", "false", "none", "layer", "mean")]
        for at in rnd.sample(places, min(len(places), rnd.choice((1, 2, 3)))):
            words[at] = rnd.choice(values)
        sound += told(" ".join(words))
    assert 0 < sound < 80, "changes of both kinds: those that matter and those that do not"


@pytest.mark.parametrize("name", ["02_language_model", "05_dataflow", "08_edits"])
def test_cut_off_texts(name: str) -> None:
    """A text cut off anywhere is a mistake, unless what is left is whole."""
    text = (ROOT / "tests" / "examples" / f"{name}.smr").read_text(encoding="utf-8")
    for end in range(0, len(text), 23):
        told(text[:end])


def test_characters_of_all_kinds() -> None:
    rnd = random.Random(0)
    odd = "\0\t\r\n\x1b\x85\u2028\ufeff\u200b\u0301é字🙂\\\"'#`$@;~^&|!?<>[](){}"
    for _ in range(40):
        text = list(rnd.choice(TEXTS)[:400])
        for _ in range(rnd.choice((1, 3, 30))):
            text.insert(rnd.randrange(len(text) + 1), rnd.choice(odd))
        told("".join(text))
