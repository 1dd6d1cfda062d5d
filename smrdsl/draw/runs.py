"""Runs: the repetitions in a sequence of classes, as a reader would tell them.

0 0 0 0           -> (0, 1, 4)              one, four times
0 0 1 0 0 1 2     -> (0, 3, 2), (6, 1, 1)   three, twice; then another
"""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 64
"""Periods beyond this are not looked for: no reader would see them either, and the search stays linear."""


def runs(classes: Sequence[int]) -> list[tuple[int, int, int]]:
    """(start, period, count) of each run; together they cover the sequence, each as much of it as it can."""
    found: list[tuple[int, int, int]] = []
    start = 0
    while start < len(classes):
        period, count = _longest(classes, start)
        found.append((start, period, count))
        start += period * count
    return found


def _longest(classes: Sequence[int], start: int) -> tuple[int, int]:
    best = (1, 1)
    for period in range(1, min(LONGEST, (len(classes) - start) // 2) + 1):
        count = 1
        while _same(classes, start, start + period * count, period):
            count += 1
        if count > 1 and period * count > best[0] * best[1]:
            best = (period, count)
    return best


def _same(classes: Sequence[int], one: int, other: int, length: int) -> bool:
    return classes[one : one + length] == classes[other : other + length] and other + length <= len(classes)
