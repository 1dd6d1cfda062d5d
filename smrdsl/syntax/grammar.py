"""grammar: finds `grammars/smr.lark`, and makes the parser and the table of its tokens from it.

The table calls a word or sign by its text (`repeat`, `:=`) and the other tokens NAME, NUMBER and
TEXT, so that nothing else in this room knows how Lark numbers them. Building the parser takes about
0.1 s, as long as all the rest of a check; Lark therefore keeps it in the user's own cache folder,
under a hash of the grammar, and builds it anew wherever that file cannot be had.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lark import Lark
from lark.lexer import PatternStr
from lark.parsers.lalr_interactive_parser import InteractiveParser

from smrdsl.syntax.build import Build

END = "$END"


@dataclass(frozen=True, slots=True)
class Grammar:
    """The parser, and its tokens:

    `terminals` by text, `texts` by Lark's name, `patterns` of those without a text.
    """

    lark: Lark
    terminals: dict[str, str]
    texts: dict[str, str]
    patterns: dict[str, re.Pattern[str]]

    def parser(self, start: str) -> InteractiveParser:
        """A parser that waits for the first token of a `file` or of `steps`."""
        return self.lark.parse_interactive(start=start)

    def text(self, terminal: str) -> str:
        """What a token is called here: its text, NAME, NUMBER, TEXT or END."""
        return self.texts.get(terminal, terminal)


@cache
def grammar() -> Grammar:
    """The grammar of the language, built once a process."""
    lark = Lark(
        grammar_text(),
        parser="lalr",
        lexer="basic",
        start=["file", "steps"],
        keep_all_tokens=True,
        maybe_placeholders=True,
        transformer=Build(),
        cache=_cache_file() or False,
    )
    texts = {t.name: t.pattern.value for t in lark.terminals if isinstance(t.pattern, PatternStr)}
    patterns = {t.name: re.compile(t.pattern.to_regexp()) for t in lark.terminals if t.name not in texts}
    return Grammar(lark, {text: name for name, text in texts.items()}, texts, patterns)


def grammar_text(name: str = "smr.lark") -> str:
    """The text of a grammar: inside the package (a wheel), else in the checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "grammars" / name
    path = inside if inside.is_file() else package.parent / "grammars" / name
    return path.read_text(encoding="utf-8")


def _cache_file() -> str | None:
    """Where the built parser is kept: where this user alone can write, else nowhere."""
    root = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or "~/.cache"
    folder = Path(root).expanduser() / "smrdsl"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except (OSError, RuntimeError):
        return None
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
        return None
    return str(folder / "grammar.cache")
