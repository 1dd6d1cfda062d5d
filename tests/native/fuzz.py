"""Drives the native kernels, built with AddressSanitizer and UBSan, with random shapes: `make fuzz`.

    python -m tests.native.fuzz [SECONDS]      for every level that this machine runs

All arrays have exactly the size that a kernel is promised, and every number that it promises must be written and
finite. The process starts itself anew under the sanitizer's library; what that finds ends it.
"""

from __future__ import annotations

import ctypes
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from ctypes import c_float, c_int64, c_void_p
from pathlib import Path
from typing import Any

from smrdsl.native import build
from tests.native.fuzz_pointwise import pointwise
from tests.native.fuzz_step import step

SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g", "-O1"]
FOLDER = "SMRDSL_FUZZ"
Array = Any


def inputs(count: int, size: float = 1.0) -> Array:
    return between(count, -size, size)


def between(count: int, low: float, high: float) -> Array:
    return (c_float * count)(*(random.uniform(low, high) for _ in range(count)))


def outputs(count: int) -> Array:
    return (c_float * count)(*([math.nan] * count))


def maybe(array: Array) -> Array | None:
    return random.choice([array, None])


def call(kernel: Callable[..., int], sizes: list[int], given: list[Array | None], made: list[Array | None]) -> None:
    pointers = [None if x is None else ctypes.cast(x, c_void_p) for x in (*given, *made)]
    kernel.argtypes = [c_int64] * len(sizes) + [c_void_p] * len(pointers)  # type: ignore[attr-defined]
    assert kernel(*sizes, *pointers) == 0, "no memory"
    assert all(map(math.isfinite, (x for array in made if array is not None for x in array))), (kernel, sizes)


def shape() -> tuple[int, int, int]:
    """(batch, length, channels), now and then nothing, often about the sizes of tiles and vectors."""
    length = random.choice([0, 1, random.randint(2, 40), 63, 64, 65, 128, random.randint(66, 200)])
    return random.randint(0, 3), length, random.choice([1, 4, 8, 15, 16, 17, 33, random.randint(2, 50)])


def bank(library: ctypes.CDLL, level: str) -> None:
    """Forward and backward of a bank with one input and output per channel."""
    (batch, length, channels), kind = shape(), random.choice(["real", "complex", "low rank"])
    rows = random.randint(1, 9) * (1 if kind == "real" else 2)
    rank = random.choice([1, 2]) if kind == "low rank" else 0
    stream, state, part = batch * length * channels, batch * channels * rows, channels * rows
    name = "low_rank" if rank else "diagonal"
    sizes = [random.randint(1, 4), rank or int(kind == "complex"), batch, length, channels, rows, random.choice([0, 1])]
    kept = batch * -(-length // 64) * -(-channels // 16) * 16 * rows
    u, a, c, d = inputs(stream), inputs(part, 0.4), inputs(part), maybe(inputs(channels))
    b = inputs(part) if rank else maybe(inputs(part))
    sides = [inputs(channels * rank * rows, 0.1) if rank else None for _ in range(2)]
    forward, backward = (getattr(library, f"{name}_{way}_{level}") for way in ("forward", "backward"))
    call(forward, sizes, [u, maybe(inputs(state)), a, b, c, d, *sides], [outputs(stream), outputs(state), None])
    call(forward, sizes, [u, None, a, b, c, d, *sides], [outputs(stream), outputs(state), inputs(kept)])
    given = [u, a, b, c, d, *sides, inputs(kept), inputs(stream), inputs(state)]
    made = [outputs(n) for n in (stream, state, part, part, part, channels)]
    made = [made[0], made[1], made[2], made[3] if b else None, made[4], made[5] if d else None]
    call(backward, sizes, given, [*made, *(outputs(channels * rank * rows) if rank else None for _ in range(2))])


def gapped(library: ctypes.CDLL, level: str) -> None:
    """Forward and backward of a bank whose samples lie at gaps, now and then at none or at a huge one."""
    (batch, length, channels), rows = shape(), 2 * random.randint(1, 9)
    stream, state, part = batch * length * channels, batch * channels * rows, channels * rows
    sizes = [random.randint(1, 4), random.choice([0, 1]), random.choice([0, 1]), batch, length, channels, rows]
    kept = batch * -(-length // 64) * -(-channels // 16) * 16 * rows
    z = (c_float * part)(*(random.uniform(*((-2, 0), (-50, 50))[2 * (i % rows) >= rows]) for i in range(part)))
    gaps, d = between(batch * length, 0, random.choice([1, 1e7])), maybe(inputs(channels))
    u, numbers = inputs(stream), [gaps, z, inputs(part), inputs(part), d]
    forward, backward = (getattr(library, f"gapped_{way}_{level}") for way in ("forward", "backward"))
    call(forward, sizes, [u, maybe(inputs(state)), *numbers], [outputs(stream), outputs(state), maybe(inputs(kept))])
    made = [*(outputs(n) for n in (stream, state, part, part, part)), outputs(channels) if d else None]
    call(backward, sizes, [u, *numbers, inputs(kept), inputs(stream), inputs(state)], made)


def modes(library: ctypes.CDLL, level: str) -> None:
    """Forward and backward of complex modes."""
    (batch, length, count), varying = shape(), random.choice([0, 1])
    pitch = count + random.randint(0, 5) if varying else 0
    spread = max(0, batch * length - 1) * pitch + count if varying else count
    sizes = [random.randint(1, 4), varying, pitch, batch, length, count]
    stream, state, own = 2 * batch * length * count, 2 * batch * count, batch * (length if varying else 1) * count
    re, im, start = inputs(spread, 0.6), inputs(spread, 0.6), maybe(inputs(state))
    forward, backward = (getattr(library, f"modes_{way}_{level}") for way in ("forward", "backward"))
    call(forward, sizes, [inputs(stream), start, re, im], [outputs(stream)])
    made = [outputs(n) for n in (stream, state, own, own)]
    call(backward, sizes, [inputs(stream), start, re, im, inputs(stream)], made)


def selective(library: ctypes.CDLL, level: str) -> None:
    """Forward and backward of a selective scan, sometimes of so many channels that there are several shares."""
    batch, length, channels = random.choice([shape(), (2, random.randint(0, 70), random.randint(51, 140))])
    states = random.randint(1, 9)
    part, stream, row = channels * states, batch * length * channels, batch * length * states
    state = batch * part
    sizes = [random.randint(1, 4), random.choice([0, 1]), batch, length, channels, states]
    kept = batch * -(-length // 64) * -(-channels // 16) * 16 * states
    a, gaps, d = between(part, -9, 0), maybe(between(batch * length, 0, 3)), maybe(inputs(channels))
    given = [inputs(stream), inputs(stream, 30.0), inputs(channels), gaps, a, inputs(row), inputs(row), d]
    forward, backward = (getattr(library, f"selective_{way}_{level}") for way in ("forward", "backward"))
    checkpoints = maybe(inputs(kept))
    call(forward, sizes, [*given, maybe(inputs(state))], [outputs(stream), outputs(state), checkpoints])
    made = [outputs(n) for n in (stream, stream, channels, part, row, row)]
    dd = outputs(channels) if d else None
    call(backward, sizes, [*given, inputs(kept), inputs(stream), inputs(state)], [*made, dd, outputs(state)])


def taps(library: ctypes.CDLL, level: str) -> None:
    """Forward and backward of a short convolution and its gate."""
    (batch, length, channels), count = shape(), random.randint(1, 8)
    stream, past = batch * length * channels, batch * (count - 1) * channels
    sizes = [random.randint(1, 4), random.randint(0, 7), batch, length, channels, count]
    given = [inputs(stream, 9.0), maybe(inputs(past)), inputs(channels * count), maybe(inputs(channels))]
    forward, backward = (getattr(library, f"taps_{way}_{level}") for way in ("forward", "backward"))
    call(forward, sizes, given, [outputs(stream)])
    dbefore, dbias = outputs(past) if given[1] else None, outputs(channels) if given[3] else None
    call(backward, sizes, [*given, inputs(stream)], [outputs(stream), dbefore, outputs(channels * count), dbias])


def gated_bank(library: ctypes.CDLL, level: str) -> None:
    """Forward and backward of a gate in front of a bank."""
    (batch, length, channels), kind = shape(), random.choice(["real", "complex", "low rank"])
    rows, count = random.randint(1, 5) * (1 if kind == "real" else 2), random.randint(1, 8)
    rank = random.choice([1, 2]) if kind == "low rank" else 0
    part, stream, past = channels * rows, batch * length * channels, batch * (count - 1) * channels
    state = batch * part
    sizes = [random.randint(1, 4), rank or int(kind == "complex"), batch, length, channels, rows]
    sizes += [random.randint(0, 7), count]
    front = [inputs(stream, 2.0), maybe(inputs(past)), inputs(channels * count), maybe(inputs(channels))]
    system = [inputs(part, 0.4), inputs(part) if rank else maybe(inputs(part)), inputs(part), maybe(inputs(channels))]
    sides = [inputs(channels * rank * rows, 0.1) if rank else None for _ in range(2)]
    kept = batch * -(-length // 64) * -(-channels // 16) * 16 * rows
    name = "low_rank" if rank else "diagonal"
    forward, backward = (getattr(library, f"gated_{name}_{way}_{level}") for way in ("forward", "backward"))
    made = [outputs(stream), outputs(state), maybe(inputs(kept))]
    call(forward, sizes, [*front, maybe(inputs(state)), *system, *sides], made)
    lengths = (stream, past, channels * count, channels, part, part, part, channels)
    grads = [None if p is None else outputs(n) for n, p in zip(lengths, (*front, *system), strict=True)]
    grads.insert(4, outputs(state))
    given = [*front, *system, *sides, inputs(kept), inputs(stream), inputs(state)]
    call(backward, sizes, given, [*grads, *(outputs(channels * rank * rows) if rank else None for _ in range(2))])


def pair(library: ctypes.CDLL, level: str) -> None:
    """Forward and backward of two short filters."""
    (batch, length, channels), counts = shape(), (random.randint(1, 8), random.randint(1, 8))
    stream = batch * length * channels
    sizes = [random.randint(1, 4), random.randint(0, 7), random.randint(0, 7), batch, length, channels, *counts]
    both = [x for count in counts for x in (inputs(channels * count), maybe(inputs(channels)))]
    forward, backward = (getattr(library, f"pair_{way}_{level}") for way in ("forward", "backward"))
    call(forward, sizes, [inputs(stream), *both], [outputs(stream)])
    grads = [None if p is None else outputs(len(p)) for p in both]
    call(backward, sizes, [inputs(stream), *both, inputs(stream)], [outputs(stream), *grads])


def drive(seconds: float) -> None:
    library = ctypes.CDLL(str(Path(os.environ[FOLDER]) / build.LIBRARY))
    levels = build.levels()[: library.smrdsl_level() + 1]
    rounds, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        random.seed(rounds)
        for level in levels:
            bank(library, level)
            gapped(library, level)
            modes(library, level)
            selective(library, level)
            taps(library, level)
            gated_bank(library, level)
            pair(library, level)
            pointwise(library, level)
            step(library, level)
        rounds += 1
    print(f"{rounds} rounds at {', '.join(levels)}: nothing was found")


def main() -> int:
    if FOLDER in os.environ:
        drive(float(sys.argv[1]) if sys.argv[1:] else 20.0)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        print(build.build(extra=SANITIZERS, out=Path(folder)))
        if not (Path(folder) / build.LIBRARY).is_file():
            return 1
        compiler = os.environ.get("CXX", "g++")
        found = [
            subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
            for name in ("libasan.so", "libubsan.so")
        ]
        settings = {
            "LD_PRELOAD": " ".join(found),
            "ASAN_OPTIONS": "detect_leaks=0",  # Python itself leaves some behind
            "PYTHONMALLOC": "malloc",  # so that every array has its own guarded place
            FOLDER: folder,
        }
        return subprocess.run(
            [sys.executable, "-m", "tests.native.fuzz", *sys.argv[1:]], env=os.environ | settings
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
