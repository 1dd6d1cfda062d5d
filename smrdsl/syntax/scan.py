"""scan: a text to its tokens and comments, with the mistakes that single characters make (E0102, E0108).

One regular expression cuts the text into pieces, in one pass, so that the time is linear in any text. A piece is cut
somewhat too large on purpose: `12abc` is one bad number, not a number and a name. A piece that is wrong is reported and
then stands for a good token of its kind, or is dropped where it has none, so that the parser has nothing to add.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from smrdsl.core.errors import Fix
from smrdsl.syntax.grammar import END, grammar
from smrdsl.syntax.literals import Flaw, number_flaw, text_flaw, text_meant
from smrdsl.syntax.tokens import Comment, Reading, Token

# Signs of other languages, and ours for them. No right text holds one: `a - > b` is never right, `a < -b` is.
FOREIGN = {
    **{"&&": "and", "||": "or", "!": "not", "^": "**", "…": ".."},
    **{"\u2212": "-", "\u2013": "-", "×": "*", "÷": "/", "≤": "<=", "≥": ">=", "≠": "!="},
}
FLOW = "steps follow one another without a sign, and a flow is written `x |> linear(8)`"
# Signs that have none of ours in their place, and what to do about them.
USELESS = {
    ";": "there are no semicolons: white space separates steps",
    **{"->": FLOW, "=>": FLOW, "→": FLOW},
    "`": "there are no backquotes",
    "\u00a0": "this is a no-break space: write a plain one",
    "\u200b": "this is a space without width: take it out",
    "\ufeff": "a byte order mark stands only at the start of a text",
}
# Words that Python reserves and that are written otherwise here.
PYTHON = {"True": "true", "False": "false", "None": "none"}


@dataclass(frozen=True, slots=True)
class Scan:
    """The tokens, the last of them END, and the comments.

    `flaws` are places of tokens that stand for something else, or behind something that was dropped: what the parser
    would say of them was said already.
    """

    tokens: list[Token] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    flaws: set[int] = field(default_factory=set)


@cache
def pieces() -> re.Pattern[str]:
    """The expression that cuts a text: every character belongs to exactly one piece."""
    signs = {text for text in grammar().terminals if not text.isidentifier()}
    foreign = {*FOREIGN, *(text for text in USELESS if text.isprintable())} - {"!"}
    starts = "".join({text[0] for text in signs | foreign} | set("!#\"'“"))
    choices = {
        "space": r"[ \t\r\n]+",
        "word": r"[^\W\d]\w*",
        "number": r"(?:[0-9]|(?<![\w.)\]])\.[0-9])(?:[eE][+-](?=[0-9])|\w|\.(?!\.))*",
        "text": r'"[^"\\\r\n]*(?:\\[^\r\n]?[^"\\\r\n]*)*(?P<closed>")?',
        "quoted": r"'[^'\r\n]*'|“[^”\r\n]*”",
        "foreign": _any_of(foreign) + "|!(?!=)",
        "sign": _any_of(signs),
        "comment": r"#[^\n]*",
        "junk": rf".(?:[ \t]*[^\s\w{re.escape(starts)}])*",
    }
    return re.compile("|".join(f"(?P<{name}>{choice})" for name, choice in choices.items()), re.DOTALL)


def _any_of(texts: Iterable[str]) -> str:
    return "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))


def scan(reading: Reading) -> Scan:
    """Cut the text of a reading."""
    out = Scan()
    text = reading.source.text
    terminals = grammar().terminals
    match_piece = pieces().match
    at, first = int(text.startswith("\ufeff")), True
    while match := match_piece(text, at):
        start, at = match.span()
        kind, piece = match.lastgroup, match[0]
        if kind == "space":
            first = first or "\n" in piece
            continue
        if kind == "comment":
            out.comments.append(Comment(piece.rstrip(), start, first))
            continue
        if piece in terminals:
            found = piece, piece
        elif kind == "word":
            found = _word(reading, piece, start)
        elif kind == "number":
            flaw = number_flaw(piece, grammar().patterns["NUMBER"])
            found = "NUMBER", _sound(reading, piece, start, flaw, "1")
        elif kind == "text":
            if not match["closed"]:
                # The brackets and commas that end the line were not meant to be in the string.
                piece = piece.rstrip(" \t)]},")
                at = start + len(piece)
            flaw = text_flaw(piece, closed=match["closed"] is not None)
            found = "TEXT", _sound(reading, piece, start, flaw, '""')
        else:
            found = _foreign(reading, kind, piece, start)
            out.flaws.add(len(out.tokens))
        if found is None:
            continue
        name, piece = found
        out.tokens.append(Token(terminals.get(name, name), piece, start, at, first, reading))
        first = False
    out.tokens.append(Token(END, "", len(text), len(text), True, reading))
    return out


def _sound(reading: Reading, piece: str, start: int, flaw: Flaw | None, stand_in: str) -> str:
    """The piece, or where it has a flaw, which is reported, one of its kind that has none."""
    if flaw is None:
        return piece
    span = reading.span(start + flaw.start, start + flaw.end)
    fix = Fix(flaw.repair, span, flaw.replacement) if flaw.repair else None
    reading.error("E0108", flaw.message, span, fix=fix)
    return stand_in


def _word(reading: Reading, piece: str, start: int) -> tuple[str, str]:
    """A word that is none of the reserved ones: a name, most often."""
    span = reading.span(start, start + len(piece))
    if ours := PYTHON.get(piece):
        fix = Fix(f"write `{ours}`", span, ours)
        reading.error("E0101", f"`{piece}` is written `{ours}` here", span, fix=fix)
        return ours, ours
    if not piece.isascii():
        message = f"`{piece}` cannot be a name: names are written with a-z, A-Z, 0-9 and _"
        reading.error("E0102", message, span)
    return "NAME", piece


def _foreign(reading: Reading, kind: str | None, piece: str, start: int) -> tuple[str, str] | None:
    """A piece that the language does not have: what is written here for it, or None where it is dropped."""
    span = reading.span(start, start + len(piece))
    if kind == "quoted":
        meant = text_meant(piece)
        fix = Fix(f"write `{meant}`", span, meant)
        reading.error("E0108", "a string stands in double quotes", span, fix=fix)
        return "TEXT", meant
    if ours := FOREIGN.get(piece):
        fix = Fix(f"write `{ours}`", span, f" {ours} " if ours.isalpha() else ours)
        reading.error("E0102", f"`{piece}` is written `{ours}` here", span, fix=fix)
        return ours, ours
    hint = USELESS.get(piece[0]) or USELESS.get(piece)
    fix = Fix("take it out", span, " ") if hint and hint != FLOW else None
    shown = "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in piece[:8])
    reading.error("E0102", hint or f"`{shown}` is no part of the language", span, fix=fix)
    return None
