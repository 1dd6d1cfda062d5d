"""machine: Lark's parser as a machine that is fed token by token, tried out, and wound back.

All that touches the parser's stacks is here.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from functools import cache
from typing import Any, cast

from lark.exceptions import UnexpectedToken
from lark.parsers.lalr_analysis import Shift
from lark.parsers.lalr_interactive_parser import InteractiveParser

from smrdsl.syntax.grammar import END, Grammar, grammar
from smrdsl.syntax.parts import TooDeep
from smrdsl.syntax.tokens import Token

DEEPEST_STACK = 3_000
"""Of states.

The limits on brackets and operators keep every right text far below; `2**2**2...` would not end.
"""


class Machine:
    """The parser in the middle of a text. To Lark, anything with a `type` is a token."""

    def __init__(self, start: str) -> None:
        self.grammar: Grammar = grammar()
        self.parser: InteractiveParser = self.grammar.parser(start)

    def feed(self, token: Token) -> object:
        """Take a token; the result is what the text stands for, after END.

        Raises UnexpectedToken and TooDeep.
        """
        state = self.parser.parser_state
        if len(state.state_stack) > DEEPEST_STACK:
            raise TooDeep(token.span)
        return state.feed_token(cast(Any, token), token.type == END)

    def accepts(self) -> frozenset[str]:
        """What may stand here, by the names of `Grammar.text`."""
        return frozenset(self.grammar.text(terminal) for terminal in self.parser.accepts())

    def fits(self, tokens: Iterable[Token]) -> int:
        """How many of these tokens could follow, one after the other. Nothing changes."""
        trial = self.parser.copy(deepcopy_values=False)
        state = trial.parser_state
        state.parse_conf = copy(state.parse_conf)
        state.parse_conf.callbacks = {}
        count = 0
        for token in tokens:
            try:
                state.feed_token(cast(Any, token), token.type == END)
            except UnexpectedToken:
                break
            count += 1
        return count

    def unwind(self) -> None:
        """Forget what was begun, back to where a statement of the innermost block, or an item, may start."""
        state = self.parser.parser_state
        starts = _statement_states()
        while state.state_stack[-1] not in starts:
            state.state_stack.pop()
            state.value_stack.pop()

    @property
    def between_items(self) -> bool:
        """Whether an item of a file may start here."""
        return self.grammar.terminals["model"] in self.parser.choices()


@cache
def _statement_states() -> frozenset[int]:
    """The states in which a statement or an item may start: those that take a `let` as it is."""
    let = grammar().terminals["let"]
    states = grammar().parser("file").parser_state.parse_conf.states
    return frozenset(s for s, actions in states.items() if actions.get(let, (None,))[0] is Shift)
