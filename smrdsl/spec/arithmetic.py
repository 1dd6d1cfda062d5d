"""Arithmetic on whole and real numbers: exact, bounded, and told in words where there is no result.

`/` gives a real, `//`, `ceil` and `floor` a whole. Whole numbers beyond 2**63 and reals that overflow are refused, a
power before it is computed, so that no text can make the checker slow.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

Number = int | float

LARGEST = 2**63 - 1
FUNCTIONS: dict[str, Callable[..., Number]] = {
    "min": min,
    "max": max,
    "ceil": math.ceil,
    "floor": math.floor,
    "log2": math.log2,
}
OPERATORS: dict[str, Callable[[Number, Number], Number]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
ORDER: dict[str, Callable[[Number, Number], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compute(sign: str, left: Number, right: Number) -> Number | str:
    """The result of `left sign right`, or why there is none."""
    if sign in ("/", "//", "%") and right == 0:
        return f"division by zero: {left:g} {sign} 0"
    try:
        result = _power(left, right) if sign == "**" else OPERATORS[sign](left, right)
    except OverflowError:
        result = math.inf
    if isinstance(result, complex):
        return "a root of a negative number is not real"
    return _bounded(result)


def apply(function: str, numbers: list[Number]) -> Number | str:
    """The result of a function, or why there is none. `min` and `max` take two or more numbers, the others one."""
    if function == "log2" and numbers[0] <= 0:
        return f"log2 of {numbers[0]}: it must be above zero"
    return _bounded(FUNCTIONS[function](*numbers))


def _power(base: Number, exponent: Number) -> Number:
    """base ** exponent, refused before it is computed where the whole result would not fit."""
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        too_large = abs(base) > 1 and exponent * math.log2(abs(base)) > 63.01
        return math.inf if too_large else base**exponent
    if base == 0 and exponent < 0:
        return math.inf
    return float(base) ** exponent


def _bounded(result: Number) -> Number | str:
    if abs(result) <= LARGEST if isinstance(result, int) else math.isfinite(result):
        return result
    return "the result is too large (beyond 2**63 or not finite)"
