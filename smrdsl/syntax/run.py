"""run: the parser on its way through the tokens of a text.

Where a token does not fit, `causes` says what is wrong, once, and `repair` finds a small change
after which the parser goes on; where there is none, the statement is given up and the parser goes
on with the next.
"""

from __future__ import annotations

from collections.abc import Sequence

from lark.exceptions import UnexpectedToken

from smrdsl.core.errors import Fix, Related
from smrdsl.syntax.brackets import CLOSERS, DEEPEST, ITEMS, OPENERS, Brackets
from smrdsl.syntax.causes import STATEMENTS, Clash, explain
from smrdsl.syntax.grammar import END
from smrdsl.syntax.machine import Machine
from smrdsl.syntax.parts import MOST_OPERATORS, TooDeep
from smrdsl.syntax.repair import AHEAD, Repair, find_repair, stand_in
from smrdsl.syntax.tokens import MOST_ERRORS, Reading, Token

PUT_IN = -1
"""The place of a bracket that is not in the text."""
MOST_MENDS = 2 * MOST_ERRORS
"""How many tokens may not fit, reported or not, before the rest of the text is left alone."""
LOOK_BACK = 12
"""How many tokens before a mistake may tell what was meant."""


class Run:
    """The parser on its way through the tokens."""

    def __init__(self, start: str, reading: Reading, brackets: Brackets) -> None:
        self.reading = reading
        self.brackets = brackets
        self.tokens = brackets.tokens
        self.machine = Machine(start)
        self.at = 0
        self.open: list[int] = []
        """Places of the brackets that are open; PUT_IN for a `{` that was put in."""
        self.owed = 0
        """How many `{` were put in whose `}` was not met."""
        self.mends = 0
        """How many tokens did not fit."""
        self.outside = False
        """Whether something outside all blocks was reported since the last item."""
        self.lost: set[int] = set()
        """Closing brackets of blocks whose heads were given up."""
        self.done: set[int] = set()
        """Closing brackets that were put in and are not needed any more."""

    def run(self) -> tuple | None:
        """Feed all tokens. What comes out means something only if no mistake was found."""
        special = {*self.brackets.missing, *self.brackets.stray, self.brackets.too_deep}
        result: object = None
        while self.at < len(self.tokens) and not self.reading.full and self.mends < MOST_MENDS:
            token = self.tokens[self.at]
            if self.at in special and self.bracket(token):
                continue
            try:
                result = self.machine.feed(token)
            except UnexpectedToken:
                self.mend(token)
            except TooDeep as deep:
                message = f"more than {MOST_OPERATORS} operators are nested in this expression"
                self.reading.error("E0107", message, deep.span)
                self.skip()
            else:
                self.passed(self.at)
                self.at += 1
        assert result is None or isinstance(result, tuple)
        return result

    def passed(self, place: int) -> None:
        """Keep account of a bracket that the parser took."""
        text = self.tokens[place].text
        if text in CLOSERS:
            self.open.append(place)
        elif text in OPENERS:
            self.open.pop()
        elif text in ITEMS or text == "let":
            self.outside = False

    # --- brackets that do not match

    def bracket(self, token: Token) -> bool:
        """Deal with a bracket that has no partner; False where the parser can take it as it is."""
        if self.at == self.brackets.too_deep:
            self.reading.error("E0107", f"more than {DEEPEST} brackets are nested here", token.span)
            self.at = len(self.tokens)
        elif self.at in self.brackets.missing:
            self.close_missing()
        elif self.owed and token.text == "}":
            self.owed -= 1
            return False
        else:
            self.stray(token)
            self.at += 1
            self.brackets.flaws.add(self.at)
        return True

    def stray(self, token: Token) -> None:
        """Report a bracket that closes nothing; one of a list goes with a mistake before it on its line."""
        line = self.reading.source.starts[token.span.line - 1]
        if token.text == "}" or self.reading.sound(self.reading.span(line, token.start)):
            fix = Fix("take it out", token.span, "")
            self.reading.error("E0103", f"`{token.text}` closes nothing", token.span, fix=fix)

    def close_missing(self) -> None:
        """Report, once, all brackets that should have been closed up to here, and close them."""
        places = []
        while self.at in self.brackets.missing:
            if self.at not in self.done:
                places.append(self.at)
            self.at += 1
        if places:
            self.unclosed(places)
            self.close(places)

    def unclosed(self, places: Sequence[int]) -> None:
        """Report that these closing brackets, which were put in, are missing before the next token."""
        end = self.tokens[self.at - 1].end
        openers = [self.tokens[self.brackets.missing[place]] for place in places]
        related = tuple(Related(f"the `{opener.text}` is here", opener.span) for opener in openers)
        if wrong := self.brackets.wrong.get(places[0]):
            right = CLOSERS[openers[0].text]
            fix = Fix(f"write `{right}`", wrong.span, right)
            message = f"`{openers[0].text}` is closed by `{wrong.text}`"
            self.reading.error("E0103", message, wrong.span, related=related, fix=fix)
            return
        text = "".join(self.tokens[place].text for place in places)
        single = len(places) == 1
        message = f"`{openers[0].text}` is not closed" if single else f"`{text}` is missing here"
        place = self.reading.span(end, end)
        fix = Fix(f"put in `{text}`", place, text)
        self.reading.error("E0103", message, place, related=related, fix=fix)

    def close(self, places: Sequence[int]) -> None:
        """Close brackets whose closing ones were put in.

        One that cannot be closed yet is given up, as is what is in it.
        """
        for place in places:
            self.done.add(place)
            if self.brackets.missing[place] not in self.open:
                continue
            try:
                self.machine.feed(self.tokens[place])
            except (UnexpectedToken, TooDeep):
                self.unwind()
                if self.tokens[place].text != "}":
                    continue
                self.machine.feed(self.tokens[place])
            self.passed(place)

    # --- tokens that do not fit

    def mend(self, token: Token) -> None:
        """Report a token that does not fit, unless that is known, and make the parser ready to go on."""
        self.mends += 1
        if self.owed and (token.type == END or token.text in ITEMS):
            self.pay()
            return
        accepts = self.machine.accepts()
        unclosed = self.unclosed_here()
        closers = [self.tokens[place] for place in unclosed]
        repair = find_repair(self.machine, accepts, self.ahead(), unclosed, closers)
        if repair and repair.kind == "close":
            self.unclosed(repair.places)
        elif not self.known(token, accepts):
            self.tell(token, accepts, repair)
        self.outside = "component" in accepts
        if repair is not None:
            self.apply(repair)
        elif token.type != END:
            self.skip()
        else:
            self.at += 1

    def pay(self) -> None:
        """Close the blocks whose `{` was put in where none was meant."""
        while self.owed:
            self.unwind()
            self.machine.feed(stand_in("}", self.tokens[self.at], self.tokens[self.at].start))
            self.open.pop()
            self.owed -= 1

    def known(self, token: Token, accepts: frozenset[str]) -> bool:
        """Whether a token does not fit because of something that was reported already."""
        if token.type == END and "}" in accepts and self.reading.failed:
            return True
        if token.text == "else" and self.at - 1 in self.lost:
            return True
        if self.at in self.brackets.flaws:
            return True
        return self.outside and "component" in accepts

    def tell(self, token: Token, accepts: frozenset[str], repair: Repair | None) -> None:
        """Report a token that does not fit."""
        before = tuple(t for t in self.tokens[max(0, self.at - LOOK_BACK) : self.at] if t.text)
        after = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else None
        finding = explain(Clash(before, token, after, accepts, repair))
        self.reading.error(finding.code, finding.message, finding.span, fix=finding.fix)

    def unclosed_here(self) -> list[int]:
        """The closing brackets that were put in further on and might stand here, innermost first."""
        places = []
        for opening in reversed(self.open):
            place = self.brackets.closer.get(opening)
            if place not in self.brackets.missing or place in self.done:
                break
            places.append(place)
        return places

    def ahead(self) -> list[tuple[int, Token]]:
        """The next tokens with their places, as many as a repair looks at."""
        found, place = [], self.at
        while place < len(self.tokens) and len(found) <= AHEAD + len(self.open):
            if place not in self.brackets.stray and place not in self.done:
                found.append((place, self.tokens[place]))
            place += 1
        return found

    def apply(self, repair: Repair) -> None:
        """Change the text as the repair says."""
        if repair.kind == "close":
            self.close(repair.places)
            return
        for token in repair.tokens:
            self.machine.feed(token)
            if token.text == "{":
                self.open.append(PUT_IN)
                self.owed += 1
        if repair.kind != "insert":
            self.at += 1

    # --- giving up

    def unwind(self) -> None:
        """Forget the statement or item that was begun, and its brackets."""
        self.machine.unwind()
        while self.open and self.text_of(self.open[-1]) != "{":
            opening = self.open.pop()
            closing = self.brackets.closer.get(opening)
            if closing in self.brackets.missing:
                self.done.add(closing)
            elif closing is not None:
                self.at = max(self.at, closing + 1)

    def text_of(self, opening: int) -> str:
        return "{" if opening == PUT_IN else self.tokens[opening].text

    def skip(self) -> None:
        """Go on at the next statement or item.

        A block that comes before is entered, as one of some step.
        """
        refused = self.at
        self.unwind()
        items = self.machine.between_items
        while not self.resumes(self.tokens[self.at], items):
            token = self.tokens[self.at]
            closing = self.brackets.closer.get(self.at)
            if token.text == "{" and self.at > refused:
                head = ("model", "NAME") if items else ("NAME",)
                for text in head:
                    self.machine.feed(stand_in(text, token, token.start))
                if closing is not None:
                    self.lost.add(closing)
                return
            if self.at in self.brackets.missing:
                self.done.add(self.at)
            if closing is not None and closing not in self.brackets.missing:
                self.at = closing
            self.at += 1

    def resumes(self, token: Token, items: bool) -> bool:
        """Whether reading can go on at a token: the end of the block, the start of a statement or item."""
        if token.type == END or self.at == self.brackets.too_deep:
            return True
        if token.text == "}":
            return self.at not in self.brackets.stray and self.at not in self.done
        if items:
            return token.text in ITEMS or token.text == "let"
        if token.type == "NAME" or token.text in ("it", "body"):
            return token.first
        return token.text in STATEMENTS
