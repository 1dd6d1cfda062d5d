"""Programs of a single instruction for `fuzz.py`: all instructions of a native step, with random shapes."""

from __future__ import annotations

import ctypes
import math
import random
import struct
from collections.abc import Callable
from ctypes import c_float, c_int64
from typing import Any

Array = Any
OPS = (
    "linear", "map", "gate", "sum", "affine", "norm", "copy", "gather", "count",
    "system", "modes", "selective", "heads", "taps", "shift", "pool",
)  # fmt: skip
WORDS, PANEL, BLOCK, FUNCTIONS = 24, 32, 16, 12


def numbers(count: int, size: float = 1.0) -> Array:
    return (c_float * count)(*(random.uniform(-size, size) for _ in range(count)))


def nothing(count: int) -> Array:
    return (c_float * count)(*([math.nan] * count))


def whole(count: int, below: int) -> Array:
    return (c_int64 * count)(*(random.randrange(below) for _ in range(count)))


def maybe(array: Array) -> Array | None:
    return random.choice([array, None])


def width() -> int:
    return random.choice([1, 4, 8, 15, 16, 17, 31, 32, 33, random.randint(2, 70)])


def blocks(channels: int) -> int:
    return -(-channels // BLOCK) * BLOCK


Case = tuple[list[Any], list[Array]]
"""Operands, a stream as an array and its pitch; and the arrays that are written."""


def linear(batch: int) -> Case:
    inputs, outputs, add = width(), width(), random.randint(0, 1)
    y = numbers(batch * outputs) if add else nothing(batch * outputs)
    packed = numbers(-(-outputs // PANEL) * PANEL * inputs)
    given = [y, outputs, numbers(batch * inputs), inputs, packed, maybe(numbers(outputs)), inputs, outputs, add]
    return given, [y]


def map_(batch: int) -> Case:
    n = width()
    y = nothing(batch * n)
    return [y, n, numbers(batch * n, 40), n, n, random.randrange(FUNCTIONS)], [y]


def gate(batch: int) -> Case:
    n = width()
    y = nothing(batch * n)
    return [y, n, numbers(batch * n), n, numbers(batch * n, 40), n, n, random.randrange(FUNCTIONS)], [y]


def sum_(batch: int) -> Case:
    n = width()
    y = nothing(batch * n)
    return [y, n, numbers(batch * n), n, numbers(batch * n), n, n, 0.5], [y]


def affine(batch: int) -> Case:
    n = width()
    y = nothing(batch * n)
    return [y, n, numbers(batch * n), n, maybe(numbers(n)), maybe(numbers(n)), n], [y]


def norm(batch: int) -> Case:
    groups, own = random.randint(1, 3), width()
    n = groups * own
    y = nothing(batch * n)
    sizes = [n, groups, random.randint(0, 1), 1e-5]
    return [y, n, numbers(batch * n), n, maybe(numbers(n)), maybe(numbers(n)), *sizes], [y]


def copy(batch: int) -> Case:
    n = width()
    y = nothing(batch * n)
    return [y, n, numbers(batch * n), n, n], [y]


def gather(batch: int) -> Case:
    n, count = width(), random.randint(1, 5)
    y = nothing(batch * n)
    return [y, n, whole(batch, count), 1, numbers(count * n), n, count], [y]


def count(batch: int) -> Case:
    return [whole(batch, 9), 1], []


def system(batch: int) -> Case:
    n, states, parts = width(), random.randint(1, 9), random.choice([1, 2])
    rank = random.randint(0, 2) if parts == 2 else 0
    y, x = nothing(batch * n), numbers(batch * blocks(n) * states * parts)
    packed = numbers(blocks(n) * states * (3 + 2 * rank) * parts, 0.3)
    given = [y, n, numbers(batch * n), n, packed, maybe(numbers(n)), x, n, states, parts, rank]
    return given, [y, x]


def modes(batch: int) -> Case:
    n = width()
    x = numbers(batch * 2 * n)
    return [x, 2 * n, numbers(batch * 2 * n), 2 * n, numbers(n), numbers(n), n], [x]


def selective(batch: int) -> Case:
    n, states = width(), random.randint(1, 9)
    y, h = nothing(batch * n), numbers(batch * blocks(n) * states)
    a = (c_float * (blocks(n) * states))(*(random.uniform(-9, 0) for _ in range(blocks(n) * states)))
    streams = [y, n, numbers(batch * n), n, numbers(batch * n, 30), n]
    rows = [numbers(batch * states), states, numbers(batch * states), states]
    return [*streams, *rows, numbers(n), a, maybe(numbers(n)), h, n, states], [y, h]


def heads(batch: int) -> Case:
    groups, each, head, states = random.randint(1, 3), random.randint(1, 9), width(), random.randint(1, 9)
    n, rows, many = groups * each * head, groups * states, groups * each
    y, h = nothing(batch * n), numbers(batch * many * blocks(head) * states)
    a = (c_float * many)(*(random.uniform(-9, 0) for _ in range(many)))
    streams = [y, n, numbers(batch * n), n, numbers(batch * many, 30), many]
    rows = [numbers(batch * rows), rows, numbers(batch * rows), rows]
    low, high = random.choice([(0.01, 2.0), (-math.inf, math.inf)])
    given = [*streams, *rows, numbers(many), a, maybe(numbers(many)), h, many, head, states, groups, low, high]
    return given, [y, h]


def taps(batch: int) -> Case:
    n, count = width(), random.randint(1, 9)
    y, inputs = nothing(batch * n), numbers(batch * (count - 1) * n)
    given = [y, n, numbers(batch * n), n, numbers(n * count), maybe(numbers(n)), inputs, n, count]
    return [*given, random.randint(0, 1), random.randrange(FUNCTIONS)], [y, inputs]


def shift(batch: int) -> Case:
    n, past = width(), random.randint(0, 4)
    inputs = numbers(batch * past * n)
    return [numbers(batch * n), n, inputs, n, past], [inputs]


def pool(batch: int) -> Case:
    n = width()
    y, value = nothing(batch * n), numbers(batch * n)
    return [y, n, numbers(batch * n), n, value, n, whole(batch, 3), n, random.randint(0, 1)], [y, value]


CASES: tuple[Callable[[int], Case], ...] = (
    linear, map_, gate, sum_, affine, norm, copy, gather, count, system, modes, selective, heads, taps, shift, pool,
)  # fmt: skip


def bank_step(library: ctypes.CDLL, level: str) -> None:
    """One sample through a bank, from a state to another."""
    batch, n, parts = random.randint(0, 9), width(), random.choice([1, 2])
    rank, own = random.randint(0, 2) if parts == 2 else 0, random.randint(1, 40) * parts
    y, after, sides = nothing(batch * n), nothing(batch * n * own), [None, None]
    if rank:
        sides = [numbers(n * rank * own), numbers(n * rank * own)]
    streams = [numbers(batch * n), numbers(batch * n * own)]
    given = [*streams, numbers(n * own), numbers(n * own), numbers(n * own), maybe(numbers(n)), *sides, y, after]
    run = getattr(library, f"bank_step_{level}")
    run.argtypes = [c_int64] * 16
    assert run(random.randint(1, 3), parts, rank, batch, n, own, *map(word, given)) == 0
    assert all(map(math.isfinite, (*y, *after)))


def word(x: Any) -> int:
    if isinstance(x, float):
        return int(struct.unpack("q", struct.pack("d", x))[0])
    return int(x or 0) if isinstance(x, int) or x is None else ctypes.addressof(x)


def step(library: ctypes.CDLL, level: str) -> None:
    """Every instruction once, for some sequences and by some threads."""
    run = getattr(library, f"step_run_{level}")
    run.argtypes = [c_int64] * 4
    for number, case in enumerate(CASES):
        batch = random.choice([1, 2, 3, random.randint(4, 30)])
        given, made = case(batch)
        words = [number, *map(word, given)]
        code = (c_int64 * WORDS)(*words)
        assert run(random.randint(1, 3), batch, 1, ctypes.addressof(code)) == 0, OPS[number]
        assert all(map(math.isfinite, (x for array in made for x in array))), (OPS[number], given)
    bank_step(library, level)
    index, code = whole(1, 1), (c_int64 * WORDS)()
    for bad in (-1, 1):
        index[0] = bad
        y, table = nothing(3), numbers(3)
        code[:8] = [OPS.index("gather"), *map(word, (y, 3, index, 1, table, 3, 1))]
        assert run(1, 1, 1, ctypes.addressof(code)) == 1, "an index that is none must be refused"
