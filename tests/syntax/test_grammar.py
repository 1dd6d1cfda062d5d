"""The grammar: no conflicts, one rule for each class of the tree, and a scanner that cuts as it says."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from lark import Lark, Token
from lark.lexer import Lexer

from smrdsl.syntax import tree
from smrdsl.syntax.build import Build
from smrdsl.syntax.grammar import grammar, grammar_text
from tests.syntax.reading import scanned

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").rglob("*.smr"))
RESERVED = (
    "import let component model extends repeat as when else place before after replace with remove"
    " execute where body it true false none and or not require branch"
)


class NoLexer(Lexer):
    """With a lexer of its own, lark is strict about the grammar alone."""

    __future_interface__ = 2

    def __init__(self, conf: object) -> None: ...

    def lex(self, lexer_state: object, parser_state: object) -> None: ...


def test_no_conflicts() -> None:
    Lark(grammar_text(), parser="lalr", lexer=NoLexer, start=["file", "steps"], strict=True)


def test_reserved_words() -> None:
    assert {text for text in grammar().terminals if text.isidentifier()} == set(RESERVED.split())


def test_every_rule_builds() -> None:
    rules = {rule.alias or rule.origin.name for rule in grammar().lark.rules if not rule.options.expand1}
    rules |= {rule.alias for rule in grammar().lark.rules if rule.alias}
    assert {rule for rule in rules if not rule.startswith("__")} <= set(dir(Build))


def test_every_class_has_a_rule() -> None:
    classes = {name for name, c in inspect.getmembers(tree, inspect.isclass) if c.__module__ == tree.__name__}
    rules = {rule.alias or rule.origin.name for rule in grammar().lark.rules}
    named = {"".join(part.capitalize() for part in rule.split("_")) for rule in rules}
    assert classes - {"Node"} <= named


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_scanner_cuts_as_the_grammar_says(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    theirs = [(t.type, t.start_pos, t.end_pos) for t in grammar().lark.lex(text) if isinstance(t, Token)]
    ours = [(t.type, t.start, t.end) for t in scanned(text).tokens[:-1]]
    assert ours == theirs
