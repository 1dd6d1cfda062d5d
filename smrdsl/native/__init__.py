"""native: the kernels in C++ for CPUs, as a library that was built when smrdsl was installed (`build.py`).

Whoever uses them has to do without: there may be no library, and then `library()` is None and `describe()` says why.
The library knows nothing of torch. Load it after torch: then both share one OpenMP.

    SMRDSL_NATIVE = off | generic | avx2 | avx512      the level to run, or none; by default the widest of this CPU
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from smrdsl.native.build import HERE, LIBRARY, STAMP, digest, fingerprint

VARIABLE = "SMRDSL_NATIVE"
TITLES = {"generic": "generic", "avx2": "AVX2", "avx512": "AVX-512"}
"""The levels, in the order of their numbers in `dispatch.cpp`."""


class Missing(Exception):
    """Why there are no native kernels."""


@dataclass(frozen=True)
class Library:
    """The loaded library at one level."""

    handle: ctypes.CDLL
    level: str
    compiler: str
    threads: bool

    def kernel(self, name: str, arguments: Sequence[type]) -> Callable[..., int]:
        """A kernel by its name in the sources; gives 0, or 1 where memory has run out."""
        function = getattr(self.handle, f"{name}_{self.level}")
        function.argtypes, function.restype = list(arguments), ctypes.c_int
        return function


@cache
def library() -> Library | None:
    """The library, loaded at most once; None where there is none that fits. Never raises."""
    found = _find()
    return found if isinstance(found, Library) else None


@cache
def available() -> bool:
    """Whether there is a library that fits, told without loading it: before torch is there, that would be too early."""
    try:
        _stamp(HERE)
    except Missing:
        return False
    return True


def describe() -> str:
    """In a line, what runs, or why nothing does."""
    found = _find()
    if not isinstance(found, Library):
        return f"native kernels: none, {found}"
    threads = "" if found.threads else ", without threads"
    return f"native kernels: {TITLES[found.level]}, built with {found.compiler}{threads}"


def describe_gpu() -> str:
    """The same of the kernels for GPUs, which are Triton's; without importing it."""
    if os.environ.get(VARIABLE) == "off":
        return f"GPU kernels: none, {VARIABLE}=off"
    try:
        return f"GPU kernels: Triton {version('triton')}"
    except PackageNotFoundError:
        return "GPU kernels: none, triton is not installed: pip install 'smrdsl[gpu]'"


def gpu_available() -> bool:
    """Whether Triton is installed, whose kernels run on GPUs; without importing it."""
    return os.environ.get(VARIABLE) != "off" and find_spec("triton") is not None


@cache
def _find() -> Library | str:
    try:
        return load(HERE)
    except Missing as missing:
        return str(missing)


def load(folder: Path) -> Library:
    """The library in a folder; raises `Missing`."""
    stamp = _stamp(folder)
    try:
        handle = ctypes.CDLL(str(folder / LIBRARY))
        handle.smrdsl_level.restype = ctypes.c_int
        best = handle.smrdsl_level()
    except (OSError, AttributeError) as error:
        raise Missing(f"the library cannot be loaded: {error}") from None
    return Library(handle, _level(stamp["levels"], best), str(stamp["compiler"]), bool(stamp["threads"]))


def _stamp(folder: Path) -> dict[str, Any]:
    """What the library beside it was built from, or a reason why it is not to be used."""
    asked = os.environ.get(VARIABLE, "")
    if asked == "off":
        raise Missing(f"{VARIABLE}=off")
    if asked and asked not in TITLES:
        raise Missing(f"{VARIABLE}={asked} is none of off, {', '.join(TITLES)}")
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        if "failure" in stamp:
            raise Missing(f"{stamp['failure']} when smrdsl was installed")
        current, whole = stamp["sources"] == fingerprint(folder), stamp["library"] == digest(folder / LIBRARY)
        known = {*stamp["levels"]} <= {*TITLES} and {"compiler", "threads"} <= {*stamp}
    except FileNotFoundError:
        raise Missing("they were not built: install smrdsl where there is a C++ compiler") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise Missing(f"{STAMP} cannot be read: install smrdsl again") from None
    if not current:
        raise Missing("their sources have changed since they were built: install smrdsl again")
    if not (whole and known):
        raise Missing(f"{LIBRARY} is not what was built: install smrdsl again")
    return stamp


def _level(built: list[str], best: int) -> str:
    """The one that was asked for, or the best that this CPU can run and that was built."""
    can = [level for level in list(TITLES)[: best + 1] if level in built]
    asked = os.environ.get(VARIABLE) or can[-1]
    if asked not in can:
        raise Missing(f"{VARIABLE}={asked}, and this machine runs {', '.join(can)}")
    return asked
