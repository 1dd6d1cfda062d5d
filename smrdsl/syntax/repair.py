"""repair: the smallest change after which the text goes on to fit.

Every change of one token is tried on a copy of the parser, with the tokens that follow: closing a bracket that is closed
nowhere, writing the token differently, putting one in, leaving it out. The one after which most of the following tokens
fit is taken. It is used to read on, and to say what is wrong; the user's text is never guessed at.
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
ENOUGH = 3
"""How many of them must fit, unless the change is a bold one."""

EQUALS = {"=": (":=", ":"), ":=": ("=", ":"), ":": ("=", ":="), "==": ("=",)}
"""Signs that are taken for one another."""
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
OPERATORS = frozenset([*COMPARISONS, *"+ - * / // % ** and or |> ..".split()])
# What to try to put in first, where several would do.
FIRST = (",", "NAME", "NUMBER", "TEXT", "=", ":=", "{")


@dataclass(frozen=True, slots=True)
class Repair:
    """A change at a token: `close` brackets, `replace` it, `insert` before it, `drop` it."""

    kind: str
    tokens: tuple[Token, ...] = ()
    places: tuple[int, ...] = ()
    """Of the closing brackets of `close`."""

    @property
    def bold(self) -> bool:
        """Whether all that follows must fit, because the change says much about what was meant."""
        return self.kind == "drop" or (self.kind == "insert" and self.tokens[0].text.isidentifier())


def find_repair(
    machine: Machine,
    accepts: frozenset[str],
    ahead: Sequence[tuple[int, Token]],
    unclosed: Sequence[int],
    closers: Sequence[Token],
) -> Repair | None:
    """The best change at the first token of `ahead`, None if none is good.

    `ahead` has places and tokens; `unclosed` and `closers`, innermost first, the places and tokens of the closing
    brackets that were put in and could stand here already.
    """
    best, most = None, 0
    for repair in _candidates(accepts, ahead[0][1], unclosed, closers):
        rest = [token for place, token in ahead if place not in repair.places]
        rest = rest[1:] if repair.kind in ("replace", "drop") else rest
        rest = rest[:AHEAD]
        fits = machine.fits([*repair.tokens, *rest]) - len(repair.tokens)
        score = fits if fits < len(rest) else AHEAD + 1
        if score > most and score >= (AHEAD + 1 if repair.bold else ENOUGH):
            best, most = repair, score
    return best


def _candidates(
    accepts: frozenset[str], found: Token, unclosed: Sequence[int], closers: Sequence[Token]
) -> Iterator[Repair]:
    """The changes to try, the most likely first."""
    for count in range(1, len(unclosed) + 1):
        yield Repair("close", tuple(closers[:count]), tuple(unclosed[:count]))
    plain = found.text not in CLOSERS and found.text not in OPENERS and found.type != END
    for text in _confused(accepts, found) if plain else ():
        if text in accepts:
            yield Repair("replace", (stand_in(text, found, found.end),))
    others = sorted(accepts - set(FIRST) - set(CLOSERS) - set(OPENERS) - {END})
    for text in [*(t for t in FIRST if t in accepts), *others]:
        yield Repair("insert", (stand_in(text, found, found.start),))
    if plain and found.text not in OPERATORS:
        yield Repair("drop")


def _confused(accepts: frozenset[str], found: Token) -> Iterator[str]:
    """What a token may have been meant to be."""
    yield from EQUALS.get(found.text, ())
    if found.text in COMPARISONS:
        yield "and"
    if found.type == "NAME":
        if found.text == "if":
            yield "when"
        near = nearest(found.text, sorted(text for text in accepts if text.isidentifier() and text.islower()))
        if near:
            yield near
    elif found.text.isidentifier():
        yield "NAME"


def stand_in(text: str, found: Token, end: int) -> Token:
    """A token that was not written, at the place of one that was."""
    terminal = grammar().terminals.get(text, text)
    return found._replace(type=terminal, text=STAND_INS.get(text, text), end=end)
