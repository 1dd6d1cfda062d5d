"""scan: a text to its tokens and comments, with the mistakes that characters make (E0102, E0108).

One regular expression cuts the text into pieces, in one pass, so that the time is linear in any
text. A piece is cut somewhat too large on purpose: `12abc` is one bad number, not a number and a
name. A piece that is wrong is reported and then stands for a good token of its kind, or is dropped
where it has none, so that the parser has nothing to add.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from smrdsl.core.errors import Fix
from smrdsl.syntax.grammar import END, grammar
from smrdsl.syntax.literals import number_flaw, text_flaw, text_meant
from smrdsl.syntax.tokens import Comment, Reading, Token

# Signs of other languages, and ours for them. No right text holds one.
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
NESTING = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
HOPELESS = 1_000
"""As many more opening than closing brackets, or fewer, break the limits on depth or on mistakes."""
FLAWS = {"NUMBER": number_flaw, "TEXT": text_flaw}
STAND_INS = {"NAME": "_", "NUMBER": "1", "TEXT": '""'}
# Words that Python reserves and that are written otherwise here.
PYTHON = {"True": "true", "False": "false", "None": "none"}


@dataclass(frozen=True, slots=True)
class Scan:
    """The tokens, the last of them END, and the comments.

    `flaws` are places of tokens that stand for something else, or behind something that was
    dropped: what the parser would say of them was said already.
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
        "starred": r"/\*.*?(?:\*/|\Z)",
        "foreign": _any_of(foreign) + "|!(?!=)",
        "sign": _any_of(signs),
        "comment": r"#[^\n]*",
        "junk": rf".(?:[ \t]*[^\s\w{re.escape(starts)}])*",
    }
    named = (f"(?P<{name}>{choice})" for name, choice in choices.items())
    return re.compile("|".join(named), re.DOTALL)


def _any_of(texts: Iterable[str]) -> str:
    return "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))


def scan(reading: Reading) -> Scan:
    """Cut the text of a reading."""
    out = Scan()
    text = reading.source.text
    terminals = grammar().terminals
    match_piece = pieces().match
    at, first, nesting = int(text.startswith("\ufeff")), True, 0
    while not reading.full and -HOPELESS < nesting < HOPELESS and (match := match_piece(text, at)):
        kind, piece, start = match.lastgroup, match[0], at
        at = match.end()
        if kind == "space":
            first = first or "\n" in piece
            continue
        if kind == "comment":
            out.comments.append(Comment(piece.rstrip(), start, first))
            continue
        if terminal := terminals.get(piece):
            nesting += NESTING.get(piece, 0)
        elif kind == "word" and piece.isascii() and piece not in PYTHON:
            terminal = "NAME"
        elif kind == "text" and not match["closed"]:
            at = start + _unclosed_length(piece, out.tokens)
            terminal, piece = _checked(out, "TEXT", text[start:at], start, reading)
        elif kind in ("number", "text"):
            terminal, piece = _checked(out, kind.upper(), piece, start, reading)
        else:
            out.flaws.add(len(out.tokens))
            ours = _foreign(reading, kind, piece, start)
            if ours is None:
                continue
            terminal, piece = terminals.get(ours, "TEXT" if kind == "quoted" else "NAME"), ours
        out.tokens.append(Token(terminal, piece, start, at, first, reading))
        first = False
    out.tokens.append(Token(END, "", len(text), len(text), True, reading))
    return out


def _unclosed_length(piece: str, before: list[Token]) -> int:
    """How long a string was meant to be that does not end on its line.

    A path or message goes on to the brackets and commas that end the line; any other string to the
    first of them.
    """
    for token in reversed(before):
        if token.text in ("import", "require"):
            return len(piece.rstrip(" \t)]},"))
        if token.first:
            break
    return len(re.split(r"[ \t]*[][(){},]", piece, maxsplit=1)[0].rstrip(" \t"))


def _checked(out: Scan, terminal: str, piece: str, start: int, reading: Reading) -> tuple[str, str]:
    """A number or string; if it has a flaw, that is reported, and another stands in for it."""
    flaw = FLAWS[terminal](piece, grammar().patterns[terminal])
    if flaw is None:
        return terminal, piece
    span = reading.span(start + flaw.start, start + flaw.end)
    fix = Fix(flaw.repair, span, flaw.replacement) if flaw.repair else None
    reading.error("E0108", flaw.message, span, fix=fix)
    out.flaws.add(len(out.tokens))
    return terminal, STAND_INS[terminal]


def _foreign(reading: Reading, kind: str | None, piece: str, start: int) -> str | None:
    """Report a piece that is not ours; what is written here for it, or None where it is dropped."""
    span = reading.span(start, start + len(piece))
    if kind == "quoted":
        meant = text_meant(piece)
        fix = Fix(f"write `{meant}`", span, meant)
        reading.error("E0108", "a string stands in double quotes", span, fix=fix)
        return meant
    if ours := FOREIGN.get(piece) or PYTHON.get(piece):
        code = "E0101" if piece in PYTHON else "E0102"
        fix = Fix(f"write `{ours}`", span, f" {ours} " if ours in ("and", "or", "not") else ours)
        reading.error(code, f"`{piece}` is written `{ours}` here", span, fix=fix)
        return ours
    if kind == "word":
        message = f"`{piece}` cannot be a name: names are written with a-z, A-Z, 0-9 and _"
        reading.error("E0102", message, span)
        return piece
    if kind == "starred":
        reading.error("E0102", "a comment starts with `#`, and ends with its line", span)
        return None
    hint = USELESS.get(piece[0]) or USELESS.get(piece)
    fix = Fix("take it out", span, " ") if hint and hint != FLOW else None
    shown = "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in piece[:8])
    reading.error("E0102", hint or f"`{shown}` is no part of the language", span, fix=fix)
    return None
