"""literals: what is wrong with a number or a string, and what was meant (E0108)."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass

LONGEST_NUMBER = 64
"""In characters."""

ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}|(?P<bad>u?.?))', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Flaw:
    """A part of a literal that is wrong, why, how to mend it, and with what."""

    start: int
    end: int
    message: str
    repair: str = ""
    replacement: str | None = None


def number_flaw(text: str, good: re.Pattern[str]) -> Flaw | None:
    """What is wrong with a piece that starts as a number; `good` is the grammar's pattern."""
    if len(text) > LONGEST_NUMBER:
        message = f"this number has {len(text):,} characters, and {LONGEST_NUMBER} is the most"
        return Flaw(0, len(text), message)
    if good.fullmatch(text):
        if text.isdecimal() or math.isfinite(float(text)):
            return None
        return Flaw(0, len(text), f"`{text}` is too large for a real number")
    reason, meant = _misspelt(text)
    repair = f"write `{meant}`" if meant else ""
    return Flaw(0, len(text), f"`{text}` is not a number: {reason}", repair, meant)


def _misspelt(text: str) -> tuple[str, str | None]:
    """Why a piece is no number, and the number that was meant."""
    if re.fullmatch(r"0[xXbBoO][0-9A-Fa-f_]+", text):
        try:
            return "numbers are written in the decimal system", str(int(text, 0))
        except ValueError:
            return "numbers are written in the decimal system", None
    if re.fullmatch(r"[0-9_]+\.", text):
        return "a digit follows the point", text + "0"
    if re.fullmatch(r"\.[0-9_]+", text):
        return "a digit stands before the point", "0" + text
    if re.fullmatch(r"[0-9._]+", text) and text.count(".") < 2:
        meant = re.sub(r"_*(?=\.|$)|(?<=\.)_+", "", re.sub(r"__+", "_", text))
        return "`_` stands alone between two digits", meant
    if re.fullmatch(r"[0-9._]+", text):
        return "it has more than one point", None
    return "digits and letters do not mix, and a name starts with a letter", None


def text_flaw(text: str, good: re.Pattern[str]) -> Flaw | None:
    """What is wrong with a piece that starts as a string; `good` is the grammar's pattern."""
    if good.fullmatch(text):
        halved = "\\u" in text and any(0xD800 <= ord(c) <= 0xDFFF for c in json.loads(text, strict=False))
        return Flaw(0, len(text), "this string holds half of a surrogate pair") if halved else None
    for match in ESCAPE.finditer(text):
        if match["bad"] is not None:
            message = f"`{match[0]}` is no escape: a string has those of JSON, as `\\n`, `\\u00e9`"
            return Flaw(*match.span(), message, "write `\\\\` for a backslash", "\\" + match[0])
    message = "this string does not end on its line"
    return Flaw(0, len(text), message, 'put in the closing `"`', text + '"')


def text_meant(text: str) -> str:
    """The string that stands between quotes of another kind."""
    return json.dumps(text[1:-1].replace("\\'", "'"), ensure_ascii=False)
