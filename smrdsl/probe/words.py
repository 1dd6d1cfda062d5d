"""Words: how numbers and lists are put into sentences."""

from __future__ import annotations

from collections.abc import Iterable

FEW = 3
"""Names that are told one by one."""


def listed(items: Iterable[str]) -> str:
    """`a, b and c`, or `none`."""
    known = list(items)
    if not known:
        return "none"
    return known[0] if len(known) == 1 else f"{', '.join(known[:-1])} and {known[-1]}"


def some(items: Iterable[str]) -> str:
    """The first few of them."""
    known = list(items)
    return listed(known) if len(known) <= FEW else f"{', '.join(known[:FEW])} and {len(known) - FEW} more"


def span(values: Iterable[float]) -> str:
    """`a to b`, or one number where both look alike."""
    known = sorted(values)
    low, high = f"{known[0]:.3g}", f"{known[-1]:.3g}"
    return low if low == high else f"{low} to {high}"


def percent(values: Iterable[float]) -> str:
    return f"{span(100 * v for v in values)} %"


def count(number: int, what: str) -> str:
    """`1 seed`, `2 seeds`"""
    return f"{number} {what}{'s' * (number != 1)}"


def opening(text: str) -> str:
    """The same as the start of a sentence."""
    return text[:1].upper() + text[1:]
