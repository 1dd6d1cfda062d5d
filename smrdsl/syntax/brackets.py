"""brackets: which bracket closes which, before the parser runs (E0103, E0107).

The parser then meets tokens whose brackets always match: where a closing bracket is missing, one
without extent is put in at the last place where it could stand, and the ones too many are marked.
So a forgotten `}` costs one diagnostic and not the rest of the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from smrdsl.syntax.grammar import END, grammar
from smrdsl.syntax.tokens import MOST_ERRORS, Token

CLOSERS = {"(": ")", "[": "]", "{": "}"}
OPENERS = {closer: opener for opener, closer in CLOSERS.items()}
ITEMS = ("import", "component", "model")
DEEPEST = 100
"""How deep brackets may be nested."""
HOPELESS = 5 * MOST_ERRORS
"""Of a text with more brackets that do not match, the rest is left out."""


@dataclass(slots=True)
class Brackets:
    """Tokens with matching brackets. All numbers are places in `tokens`."""

    tokens: list[Token] = field(default_factory=list)
    closer: dict[int, int] = field(default_factory=dict)
    """Opening bracket -> its closing one."""
    missing: dict[int, int] = field(default_factory=dict)
    """Closing bracket that was put in -> its opening one."""
    stray: set[int] = field(default_factory=set)
    """Closing brackets that close nothing."""
    wrong: dict[int, Token] = field(default_factory=dict)
    """Closing bracket that was put in -> the one of another kind that stands in its place."""
    flaws: set[int] = field(default_factory=set)
    """Tokens of which the scanner reported something."""
    too_deep: int | None = None
    """The first opening bracket beyond the limit; the tokens end in front of it."""

    @property
    def faults(self) -> int:
        return len(self.missing) + len(self.stray)


class View(NamedTuple):
    """A way to see what is wrong with brackets that do not match."""

    by_item: bool = False
    """The items of a file start outside all brackets, and only they do."""
    by_indent: bool = False
    """A `}` that starts its line closes the block whose line is indented as its own."""
    swapped: bool = True
    """A closing bracket of another kind stands for the right one; else it is one too many."""


VIEWS = (
    View(swapped=False),
    View(),
    View(True, False, False),
    View(True),
    View(True, True, False),
    View(True, True),
)


def match_brackets(tokens: list[Token], flaws: set[int], in_file: bool) -> Brackets:
    """Match the brackets; where they do not match, as the view does that finds the fewest mistakes.

    A `}` that is missing, or one too many, is not noticed before the end of the text, if not by the
    items of the file (`in_file`) or by the indentation. So of views that find equally many mistakes
    the last one is taken.
    """
    best = _Matcher(tokens, flaws, View()).run()
    if not 0 < best.faults <= MOST_ERRORS:
        return best
    for view in VIEWS:
        if in_file or not view.by_item:
            found = _Matcher(tokens, flaws, view).run()
            best = found if found.faults <= best.faults else best
    return best


class _Matcher:
    """One pass over the tokens with the stack of open brackets."""

    def __init__(self, tokens: list[Token], flaws: set[int], view: View) -> None:
        self.given = tokens
        self.given_flaws = flaws
        self.view = view
        self.out = Brackets()
        self.open: list[int] = []
        self.indents: list[int] = []
        """Of the lines on which the open brackets stand."""

    def run(self) -> Brackets:
        out = self.out
        indent = 0
        for place, token in enumerate(self.given):
            if out.faults > HOPELESS:
                out.tokens.append(self.given[-1])
                return out
            if place in self.given_flaws:
                out.flaws.add(len(out.tokens))
            if token.first:
                indent = token.start - token.reading.source.text.rfind("\n", 0, token.start)
            text = token.text
            if text in CLOSERS:
                if len(self.open) == DEEPEST:
                    out.too_deep = len(out.tokens)
                    out.tokens.append(token)
                    return out
                self.open.append(len(out.tokens))
                self.indents.append(indent)
            elif text in OPENERS:
                if not self.close(token, place, indent):
                    continue
            elif token.type == END or (self.view.by_item and token.first and text in ITEMS):
                self.give_up(0)
            out.tokens.append(token)
        return out

    def close(self, token: Token, place: int, indent: int) -> bool:
        """Match a closing bracket; False if it was replaced by the one that belongs there."""
        opener = OPENERS[token.text]
        if self.view.by_indent and token.text == "}" and token.first:
            self.give_up(self.indented_like(indent))
        level = self.nearest(opener)
        swapped = level is None and self.view.swapped and self.open
        if swapped and token.text != "}" and self.text(-1) != "{":
            self.out.wrong[len(self.out.tokens)] = token
            self.give_up(len(self.open) - 1)
            return False
        if level is None or (level == 0 and self.view.by_item and not self.item_at(place + 1)):
            self.out.stray.add(len(self.out.tokens))
            return True
        self.give_up(level + 1)
        self.out.closer[self.open.pop()] = len(self.out.tokens)
        self.indents.pop()
        return True

    def item_at(self, place: int) -> bool:
        """Whether what is given at a place can follow an item, or is one too many itself."""
        token = self.given[place]
        return token.type == END or token.text in ("let", "}", *ITEMS)

    def text(self, level: int) -> str:
        return self.out.tokens[self.open[level]].text

    def nearest(self, opener: str) -> int | None:
        """The innermost open bracket of a kind.

        A round or square one does not reach out of its block.
        """
        for level in reversed(range(len(self.open))):
            if self.text(level) == opener:
                return level
            if opener != "{" and self.text(level) == "{":
                return None
        return None

    def indented_like(self, indent: int) -> int:
        """How many brackets are open up to the block that is indented as the `}`, else all."""
        for level in reversed(range(len(self.open))):
            if self.text(level) == "{" and self.indents[level] == indent:
                return level + 1
        return len(self.open)

    def give_up(self, level: int) -> None:
        """Put in the closing brackets of all that is open above a level."""
        out = self.out
        while len(self.open) > level:
            opening = self.open.pop()
            self.indents.pop()
            end = out.tokens[-1].end
            text = CLOSERS[out.tokens[opening].text]
            type_, reading = grammar().terminals[text], out.tokens[opening].reading
            out.closer[opening] = len(out.tokens)
            out.missing[len(out.tokens)] = opening
            out.tokens.append(Token(type_, text, end, end, False, reading))
