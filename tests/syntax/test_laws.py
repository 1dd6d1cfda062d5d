"""What holds for every tree and every way to write it down."""

from __future__ import annotations

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from smrdsl.syntax import tree
from smrdsl.syntax.parse import parse_steps
from smrdsl.syntax.show import show
from tests.syntax import trees
from tests.syntax.reading import expression, formatted, scanned, steps, well

quick = settings(max_examples=80, deadline=None, derandomize=True)


@quick
@given(trees.files)
def test_show_is_read_back(file: tree.File) -> None:
    """What is shown has an equal tree, and is canonical."""
    assert well(show(file)) == file
    assert formatted(show(file)) == show(file)


@quick
@given(trees.expressions)
def test_expressions_are_read_back(node: tree.Expression) -> None:
    assert expression(show(node)) == node


@quick
@given(trees.blocks)
def test_blocks_are_read_back(block: tree.Block) -> None:
    text = show(block)
    assert well(text.removeprefix("{").removesuffix("}"), parse_steps) == block
    assert steps(show(block.statements[0])) == block.statements[:1]


@quick
@given(trees.files, st.integers(0, 2**32))
def test_format(file: tree.File, seed: int) -> None:
    """Formatting changes no meaning, loses no comment, is tidy, and leaves nothing to format."""
    text, comments = trees.rewritten(show(file), random.Random(seed))
    once = formatted(text)
    assert well(once) == file
    assert formatted(once) == once
    assert [c.text for c in scanned(once).comments] == comments
    assert_tidy(once)
    assert_in_place(text, once)


def assert_tidy(text: str) -> None:
    lines = text.split("\n")
    assert lines.pop() == ""
    assert lines == [line.rstrip(" \t\r") for line in lines]
    assert "" not in (lines[:1] + lines[-1:])
    assert ("", "") not in itertools.pairwise(lines)


def assert_in_place(before: str, after: str) -> None:
    """A comment with its own line keeps it; one that ends a line does so if none is before it."""
    old, new = scanned(before).comments, scanned(after).comments
    assert all(b.own for a, b in zip(old, new, strict=True) if a.own)
    assert all(a.own == b.own for a, b in zip(old[:1], new[:1], strict=True))
