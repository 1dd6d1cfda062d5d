"""Paths: the names of steps on their way down from the model. No two steps and no two parts have the same one.

A step without a label has its own name, then `name_2`, `name_3`, counted as they stand in the text; a number that a
label has taken is left out. A component called `block__2` is `block` in paths: so can two of one name, from two files,
stand in one text.
"""

from __future__ import annotations

import re

from smrdsl.core.source import Span

Path = tuple[str, ...]
TWIN = re.compile(r"(?<=[^_])__[0-9]+$")


def plain(name: str) -> str:
    """What a path calls a component: `block` for `block`, `zoo.block` and `block__2`."""
    return TWIN.sub("", name.rpartition(".")[2])


class Paths:
    """Hands out the paths of one model."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Path, str], int] = {}
        self._taken: dict[Path, Span] = {}

    def name(self, prefix: Path, name: str, span: Span) -> Path:
        """A free path for a step without a label."""
        count = self._counts.get((prefix, name), 0) + 1
        while (path := (*prefix, name if count == 1 else f"{name}_{count}")) in self._taken:
            count += 1
        self._counts[prefix, name] = count
        self._taken[path] = span
        return path

    def label(self, prefix: Path, label: str, span: Span) -> tuple[Path, Span | None]:
        """The path of a label; where it is taken a free one, and where the first to have it stands."""
        path = (*prefix, label)
        first = self._taken.get(path)
        if first is not None:
            return self.name(prefix, label, span), first
        self._taken[path] = span
        return path, None

    def free(self, path: Path) -> None:
        """Let a label be given again."""
        self._taken.pop(path, None)
