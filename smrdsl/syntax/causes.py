"""causes: what to say about a token that does not fit (E0101, E0104).

`CAUSES` is a table of the mistakes that people make most; each row looks at a `Clash` and says what
is wrong, or None. Where none knows the mistake, the parser itself says what it expects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from smrdsl.core.errors import Fix
from smrdsl.core.source import Span
from smrdsl.syntax.grammar import END, grammar
from smrdsl.syntax.repair import COMPARISONS, EQUALS, OPERATORS, Repair
from smrdsl.syntax.tokens import Token

ITEMS = frozenset({"import", "component", "model"})
STATEMENTS = frozenset("let require repeat when branch body place replace remove execute it NAME".split())
VALUES = frozenset("NAME NUMBER TEXT true false none it not - [ (".split())
MORE_OF_A_NAME = frozenset({"(", "."})
KINDS = {"NAME": "a name", "NUMBER": "a number", "TEXT": "a string", END: "the end of the text"}


@dataclass(frozen=True, slots=True)
class Clash:
    """A token that does not fit, with those before and after it, and what would fit or mend it."""

    before: tuple[Token, ...]
    found: Token
    after: Token | None
    accepts: frozenset[str]
    repair: Repair | None

    @property
    def previous(self) -> Token | None:
        return self.before[-1] if self.before else None

    @property
    def in_block(self) -> bool:
        """Whether a statement might start here, so that the one before is complete."""
        return "repeat" in self.accepts

    @property
    def at_top(self) -> bool:
        return "component" in self.accepts

    @property
    def in_value(self) -> bool:
        """Whether a value is complete here and might go on."""
        return not OPERATORS.isdisjoint(self.accepts)

    def meant(self, kind: str) -> str | None:
        """The text that a repair of this kind writes."""
        if self.repair is None or self.repair.kind != kind:
            return None
        token = self.repair.tokens[0] if self.repair.tokens else self.found
        return grammar().text(token.type)


@dataclass(frozen=True, slots=True)
class Finding:
    message: str
    span: Span
    fix: Fix | None = None
    code: str = "E0101"


def explain(clash: Clash) -> Finding:
    """What to say about a clash."""
    for cause in CAUSES:
        if finding := cause(clash):
            return finding
    return unexpected(clash)


def replaced(clash: Clash, message: str, text: str) -> Finding:
    """A finding whose fix writes another text for the token."""
    span = clash.found.span
    fix = Fix(f"write `{text.strip()}`" if text.strip() else "take it out", span, text)
    return Finding(message, span, fix)


# --- the table


def chained(clash: Clash) -> Finding | None:
    if clash.found.text not in COMPARISONS or not clash.in_value:
        return None
    return Finding("comparisons do not chain: write `a < b and b < c`", clash.found.span)


def other_language(clash: Clash) -> Finding | None:
    """`else if`, `elif`, `if`."""
    if clash.found.text == "if" and clash.meant("replace") == "when":
        return replaced(clash, "`if` is written `when`", "when")
    for token in reversed(clash.before):
        if token.text in ("if", "elif", "elseif", "elsif") and clash.in_block:
            ours = "when" if token.text == "if" else "else when"
            fix = Fix(f"write `{ours}`", token.span, ours)
            return Finding(f"`{token.text}` is written `{ours}`", token.span, fix)
        if token.first:
            break
    return None


def other_comment(clash: Clash) -> Finding | None:
    """`// ...`"""
    if clash.found.text != "//" or clash.in_value or not (clash.in_block or clash.at_top):
        return None
    return Finding("a comment starts with `#`", clash.found.span)


def lonely_else(clash: Clash) -> Finding | None:
    if clash.found.text != "else":
        return None
    return Finding("`else` stands only behind the block of a `when`", clash.found.span)


def reserved(clash: Clash) -> Finding | None:
    if clash.meant("replace") != "NAME":
        return None
    message = f"`{clash.found.text}` is a reserved word and cannot be a name"
    return Finding(message, clash.found.span, code="E0104")


def equals_step(clash: Clash) -> Finding | None:
    """`x = ...` where a statement starts."""
    name, found, after = clash.previous, clash.found, clash.after
    if found.text != "=" or name is None or name.type != "NAME" or not clash.in_block:
        return None
    step = clash.before[-2] if len(clash.before) > 1 else None
    if step and step.type == "NAME" and not name.first:
        message = f"arguments stand in parentheses: `{step.text}({name.text}=...)`"
        return Finding(message, found.span)
    message = "`=` names nothing here: write `x := flow`, `label: step` or `let x = value`"
    if after and after.type in ("NUMBER", "TEXT"):
        start = Span(name.span.source, name.start, name.start)
        return Finding(message, found.span, Fix("write `let`", start, "let "))
    return replaced(clash, message, ":=") if after and after.text == "it" else Finding(message, found.span)


def equals(clash: Clash) -> Finding | None:
    meant = clash.meant("replace")
    if clash.found.text not in EQUALS or meant not in EQUALS:
        return None
    return replaced(clash, f"`{meant}` is needed here, not `{clash.found.text}`", meant)


def misspelt(clash: Clash) -> Finding | None:
    meant = clash.meant("replace")
    if clash.found.type != "NAME" or meant is None:
        return None
    return replaced(clash, f"`{clash.found.text}` cannot stand here, did you mean `{meant}`?", meant)


def comma(clash: Clash) -> Finding | None:
    if clash.found.text != "," or not clash.in_block:
        return None
    return replaced(clash, "steps are not separated by commas: white space is enough", "")


def bare_flow(clash: Clash) -> Finding | None:
    """`|>` or arithmetic where a step is."""
    sign, before = clash.found.text, clash.previous
    of_it = before is not None and before.text == "it" and ":=" in clash.accepts
    if sign not in OPERATORS or not (of_it or (clash.in_block and not clash.in_value)):
        return None
    message = f"`{sign}` makes a flow, and a flow needs a place: write `it := ...` or `name := ...`"
    return Finding(message, clash.found.span)


def block_in_flow(clash: Clash) -> Finding | None:
    if clash.found.text != "{" or not clash.in_block:
        return None
    return Finding("no block can stand here: values and flows have none", clash.found.span)


def outside(clash: Clash) -> Finding | None:
    """A statement at the top of a file."""
    found = clash.found
    if not clash.at_top or clash.accepts - ITEMS - OPERATORS - MORE_OF_A_NAME - {"let", END}:
        return None
    if clash.meant("insert") == "let":
        span = Span(found.span.source, found.start, found.start)
        return Finding("a value is named by `let`", found.span, Fix("write `let`", span, "let "))
    if found.type != "NAME" and found.text not in STATEMENTS:
        return None
    return Finding("a step stands in the block of a `model` or `component`", found.span)


def inside(clash: Clash) -> Finding | None:
    """An item of a file in a block."""
    if clash.found.text not in ITEMS or not clash.in_block:
        return None
    return Finding(f"`{clash.found.text}` stands at the top of a file, not in a block", clash.found.span)


def lonely_range(clash: Clash) -> Finding | None:
    if clash.found.text != ".." or not clash.in_value:
        return None
    return Finding("a range stands only in arguments, defaults and lets", clash.found.span)


def width_of_it(clash: Clash) -> Finding | None:
    before = clash.previous
    if clash.found.text != "." or before is None or before.text != "it":
        return None
    return Finding("`it` has no names in it: `width` is its number of channels", clash.found.span)


def long_name(clash: Clash) -> Finding | None:
    if clash.found.text != "." or [t.text for t in clash.before[-2:-1]] != ["."]:
        return None
    return Finding("a name has one prefix at most, as in `zoo.block`", clash.found.span)


CAUSES: tuple[Callable[[Clash], Finding | None], ...] = (
    chained,
    other_language,
    other_comment,
    lonely_else,
    reserved,
    equals_step,
    equals,
    misspelt,
    comma,
    bare_flow,
    block_in_flow,
    outside,
    inside,
    lonely_range,
    width_of_it,
    long_name,
)


# --- what the parser says


def unexpected(clash: Clash) -> Finding:
    """What was expected, where, and what was found."""
    found, before = clash.found, clash.previous
    message = f"expected {expected(clash.accepts)}"
    if before is not None:
        message += f" after {named(before)}"
    missing = clash.meant("insert")
    span = found.span
    if before is not None and (missing or found.type == END):
        span = Span(span.source, before.end, before.end)
    fix = Fix("put in a `,`", span, ",") if missing == "," else None
    return Finding(f"{message}, found {named(found)}", span, fix)


def named(token: Token) -> str:
    if token.type == END:
        return KINDS[END]
    text = token.text if len(token.text) <= 40 else token.text[:39] + "…"
    return text if token.type == "TEXT" else f"`{text}`"


def expected(accepts: frozenset[str]) -> str:
    """What may stand here, in words:

    `a name`, `a value or `)``. Operators are told only where nothing else may.
    """
    words, rest = [], set(accepts)
    if rest >= STATEMENTS:
        words.append("a step")
        rest -= STATEMENTS
    if rest >= {"NUMBER", "("}:
        words.append("a value")
        rest -= VALUES
    others = rest - OPERATORS
    if "," in others:
        others -= MORE_OF_A_NAME | {"="}
    if len(others) > 1:
        others -= {END}
    words += [KINDS.get(text, f"`{text}`") for text in sorted(others)]
    words = words or ["an operator"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
