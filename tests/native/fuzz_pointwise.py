"""Random programs of pointwise operations for `fuzz.py`: streams at pitches of their own, in parts, and vectors."""

from __future__ import annotations

import ctypes
import math
import random
from ctypes import c_float, c_int64, c_void_p
from typing import Any

Array = Any
LOAD, JOINS, CODES = 0, (1, 2, 3), 11


def numbers(count: int) -> Array:
    return (c_float * count)(*(random.uniform(-2, 2) for _ in range(count)))


def nothing(count: int) -> Array:
    return (c_float * count)(*([math.nan] * count))


def places(arrays: list[Array | None]) -> Array:
    return (c_void_p * len(arrays))(*(None if x is None else ctypes.addressof(x) for x in arrays))


def program(parts: list[int]) -> list[tuple[int, int, int]]:
    """Steps that load all parts of all streams and leave no value unread."""
    steps = [(LOAD, k, part) for k, many in enumerate(parts) for part in range(many)]
    unread = list(range(len(steps)))
    for _ in range(random.randint(1, 6)):
        a, b, code = random.choice(unread), random.randrange(len(steps)), random.randint(1, CODES - 1)
        unread = [v for v in unread if v != a and (v != b or code not in JOINS)] + [len(steps)]
        steps.append((code, a, b if code in JOINS else 0))
    while len(unread) > 1:
        steps.append((random.choice(JOINS[:2]), unread.pop(0), unread.pop(0)))
        unread.append(len(steps) - 1)
    return steps


def pointwise(library: ctypes.CDLL, level: str) -> None:
    """Forward and backward of a program."""
    rows = random.choice([0, 1, 2, 17, 64, random.randint(3, 90)])
    channels = random.choice([0, 1, 16, 17, 33, 256, 257, 2100, random.randint(2, 70)])
    parts = [random.choice([1, 1, 2, 3]) for _ in range(random.randint(1, 4))]
    pitches = [many * channels + random.choice([0, 0, 5]) for many in parts]
    for k in range(1, len(parts)):
        if random.random() < 0.3:
            parts[k], pitches[k] = 1, 0
    streams = [numbers(max(0, rows - 1) * p + many * channels) for p, many in zip(pitches, parts, strict=True)]
    steps = program(parts)
    whole = (c_int64 * (3 * len(steps)))(*(n for step in steps for n in step))
    given = [whole, numbers(len(steps)), places(streams), (c_int64 * len(parts))(*pitches)]
    forward, backward = (getattr(library, f"pointwise_{way}_{level}") for way in ("forward", "backward"))
    threads, y = random.randint(1, 4), nothing(rows * channels)
    _call(forward, [threads, rows, channels, len(steps)], [*given, y], [y])
    made = [nothing((rows * many if p else 1) * channels) for p, many in zip(pitches, parts, strict=True)]
    wanted = [x if random.random() < 0.8 else None for x in made]
    sizes = [threads, rows, channels, len(steps), len(parts)]
    _call(backward, sizes, [*given, numbers(rows * channels), places(wanted)], [x for x in wanted if x is not None])


def _call(kernel: Any, sizes: list[int], arrays: list[Array], made: list[Array]) -> None:
    kernel.argtypes = [c_int64] * len(sizes) + [c_void_p] * len(arrays)
    assert kernel(*sizes, *(ctypes.addressof(x) for x in arrays)) == 0, "no memory"
    assert not any(math.isnan(x) for array in made for x in array), (kernel, sizes)
