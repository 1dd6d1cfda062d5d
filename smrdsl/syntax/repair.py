"""repair: the smallest change after which the text goes on to fit.

Every change of one token is tried on a copy of the parser, with the tokens that follow: closing a
bracket that is closed nowhere, writing the token differently, putting one in, leaving it out. The
one after which most of the following tokens fit is taken. It is used to read on, and to say what is
wrong; the user's text is never guessed at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from smrdsl.core.errors import nearest
from smrdsl.syntax.brackets import CLOSERS, OPENERS
from smrdsl.syntax.grammar import END, grammar
from smrdsl.syntax.machine import Machine
from smrdsl.syntax.scan import STAND_INS
from smrdsl.syntax.tokens import Token

AHEAD = 6
"""How many tokens after a change are tried."""
ALL = AHEAD + 1
"""Stands for all of them, which may be fewer at the end of the text."""

EQUALS = {"=": (":=", ":"), ":=": ("=", ":"), ":": ("=", ":="), "==": ("=",)}
"""Signs that are taken for one another."""
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
OPERATORS = frozenset([*COMPARISONS, *"+ - * / // % ** and or |> ..".split()])
# What to try to put in first, where several would do.
FIRST = (",", "NAME", "NUMBER", "TEXT", "=", ":=")


@dataclass(frozen=True, slots=True)
class Repair:
    """A change at a token: `close` brackets, `replace` it, `insert` before it, `drop` it."""

    kind: str
    tokens: tuple[Token, ...] = ()
    places: tuple[int, ...] = ()
    """Of the closing brackets of `close`."""

    needs: int = 3
    """How many of the following tokens must fit: more, the more the change says about what was meant."""


def find_repair(
    machine: Machine,
    accepts: frozenset[str],
    ahead: Sequence[tuple[int, Token]],
    unclosed: Sequence[int],
    closers: Sequence[Token],
) -> Repair | None:
    """The best change at the first token of `ahead`, None if none is good.

    `ahead` has places and tokens; `unclosed` and `closers`, innermost first, the places and tokens
    of the closing brackets that were put in and could stand here already.
    """
    best, most = None, 0
    opens = len(ahead) > 1 and ahead[1][1].text == "{"
    for repair in _candidates(accepts, ahead[0][1], opens, unclosed, closers):
        rest = [token for place, token in ahead if place not in repair.places]
        rest = rest[1:] if repair.kind in ("replace", "drop") else rest
        rest = rest[:AHEAD]
        fits = machine.fits([*repair.tokens, *rest]) - len(repair.tokens)
        score = fits if fits < len(rest) else ALL
        if score > most and score >= repair.needs:
            best, most = repair, score
    return best


def _candidates(
    accepts: frozenset[str], found: Token, opens: bool, unclosed: Sequence[int], closers: Sequence[Token]
) -> Iterator[Repair]:
    """The changes to try, the most likely first."""
    for count in range(1, len(unclosed) + 1):
        yield Repair("close", tuple(closers[:count]), tuple(unclosed[:count]))
    plain = found.text not in CLOSERS and found.text not in OPENERS and found.type != END
    for text in _confused(accepts, found) if plain else ():
        if text in accepts:
            # A reserved word where a step may start is rather the rest of a broken statement than a name.
            needs = 3 if text != "NAME" else ALL if "repeat" in accepts else 1
            yield Repair("replace", (stand_in(text, found, found.end),), needs=needs)
    signs = [text for text in FIRST if text in accepts]
    others = sorted(accepts - set(FIRST) - set(CLOSERS) - set(OPENERS) - {END})
    block = ["{"] if "{" in accepts else []
    # A block that opens right behind is the one that was meant.
    for text in [*signs, *others, *block] if opens else [*signs, *block, *others]:
        needs = 1 if len(accepts) == 1 else ALL if text.islower() else 3
        yield Repair("insert", (stand_in(text, found, found.start),), needs=needs)
    if plain and found.text not in OPERATORS:
        yield Repair("drop", needs=ALL)


def _confused(accepts: frozenset[str], found: Token) -> Iterator[str]:
    """What a token may have been meant to be."""
    yield from EQUALS.get(found.text, ())
    if found.text in COMPARISONS:
        yield "and"
    if found.type == "NAME":
        if found.text == "if":
            yield "when"
        words = sorted(text for text in accepts if text.isidentifier() and text.islower())
        if near := nearest(found.text, words):
            yield near
    elif found.text.isidentifier():
        yield "NAME"


def stand_in(text: str, found: Token, end: int) -> Token:
    """A token that was not written, at the place of one that was."""
    terminal = grammar().terminals.get(text, text)
    return found._replace(type=terminal, text=STAND_INS.get(text, text), end=end)
