"""layout: what a printer asks about the text behind a tree, and the answers where there is none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

from smrdsl.core.source import Span
from smrdsl.syntax import tree
from smrdsl.syntax.tokens import Comment


class Layout(Protocol):
    """What the tree does not say. Offsets are asked in rising order."""

    def comments(self, offset: int) -> Sequence[Comment]:
        """The comments in front of an offset that were not given before."""
        ...

    def literal(self, node: tree.Number | tree.Text) -> str:
        """How a number or string is spelt."""
        ...

    def on_one_line(self, span: Span) -> bool:
        """Whether a part was written on one line."""
        ...

    def blank(self, offset: int) -> bool:
        """Whether a line was left free in front of what starts at an offset."""
        ...

    def closing(self, offset: int) -> int:
        """Where the next `)` is, from an offset on."""
        ...


class Plain:
    """Of a tree that has no text: nothing stands on one line, and there are no comments."""

    def comments(self, offset: int) -> Sequence[Comment]:
        return ()

    def literal(self, node: tree.Number | tree.Text) -> str:
        if isinstance(node, tree.Text):
            return json.dumps(node.value, ensure_ascii=False)
        return repr(node.value)

    def on_one_line(self, span: Span) -> bool:
        return False

    def blank(self, offset: int) -> bool:
        return False

    def closing(self, offset: int) -> int:
        return offset
