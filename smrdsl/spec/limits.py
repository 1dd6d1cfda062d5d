"""Limits: what a spec may ask for before it is refused, so that a stranger's text costs bounded time and memory."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from smrdsl.core.errors import Report
from smrdsl.core.source import Span

BLOCKS = 8
"""Blocks in blocks, for each level of components that is allowed."""
FRAMES = 100
"""Frames of Python for each level of components: what the blocks and the longest expression in them take."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of text, nodes after expansion, parameters of the model, depth of components in components."""

    text: int = 1_000_000
    nodes: int = 100_000
    parameters: int = 10**12
    depth: int = 64


class Spent(Exception):
    """A spec takes more turns than it may; that was reported."""


class Budget:
    """Counts turns: what is read, evaluated, selected or changed. A loop over nothing takes turns too."""

    def __init__(self, turns: int, what: str, report: Report) -> None:
        self.left = turns
        self.what = what
        self.report = report

    def spend(self, turns: int, span: Span) -> None:
        """Raises `Spent` where there are not that many left."""
        self.left -= turns
        if self.left < 0:
            self.report.error("E0702", f"{self.what} more turns than the limit on nodes allows", span)
            raise Spent


_working = 0
_before = (sys.getrecursionlimit(), True)
_lock = Lock()


@contextmanager
def working(limits: Limits) -> Iterator[None]:
    """Let Python recur as deep as a spec within the limits needs, and look for no garbage, of which there is little."""
    global _working, _before
    with _lock:
        if _working == 0:
            _before = (sys.getrecursionlimit(), gc.isenabled())
        _working += 1
        sys.setrecursionlimit(max(sys.getrecursionlimit(), _before[0] + FRAMES * limits.depth))
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            _working -= 1
            if _working == 0:
                sys.setrecursionlimit(_before[0])
                if _before[1]:
                    gc.enable()
