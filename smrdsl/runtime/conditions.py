"""Conditions: the job that a plan is made for, as users and files give it, checked. Needs no torch."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from smrdsl.core.errors import SmrError, did_you_mean
from smrdsl.plan.terms import Conditions

MODES = ("train", "infer", "decode")
DTYPES = ("float32", "float64")
LARGEST = 2**62
"""Of a length or batch: what the sizes of a tensor can be."""


def conditions(
    length: Any,
    batch: Any,
    mode: Any,
    dtype: Any,
    device: Any,
    disabled: Any = (),
    threads: Any = None,
    memory: Any = None,
) -> Conditions:
    """The conditions of these values; dtype and device may be torch's, memory bytes or a text. Raises `SmrError`."""
    for name, number in (("length", length), ("batch", batch), ("threads", 1 if threads is None else threads)):
        whole = isinstance(number, int) and not isinstance(number, bool)
        if not whole or not 1 <= number <= LARGEST:
            raise SmrError(f"{name} must be a whole number from 1 to {LARGEST:.0e}, this is {number!r}")
    check_mode(mode)
    kind = str(dtype).removeprefix("torch.")
    if kind not in DTYPES:
        raise SmrError(f"no dtype `{kind}`; there are {' and '.join(DTYPES)} (bfloat16 by torch.autocast)")
    running = threads_here() if threads is None else threads
    most = None if memory is None else bytes_of(memory)
    return Conditions(length, batch, mode, kind, str(device), tuple(map(str, disabled)), running, most)


def threads_here() -> int:
    """How many threads torch has, or would have if it were imported."""
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads"):
        return torch.get_num_threads()
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(wanted) if wanted.isdecimal() and int(wanted) else os.cpu_count() or 1


def bytes_of(memory: Any) -> int:
    """Bytes, from a number or a text such as `2GiB` or `800 MB`. Raises `SmrError`."""
    if isinstance(memory, str) and memory.strip().isdecimal():
        memory = int(memory)
    if isinstance(memory, int) and not isinstance(memory, bool) and memory > 0:
        return memory
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B?\s*", memory) if isinstance(memory, str) else None
    if found:
        number, unit, binary = found.groups()
        count = int(float(number) * (1024 if binary else 1000) ** " KMGT".index(unit.upper() or " "))
        if count:
            return count
    raise SmrError(f"memory must be bytes, or a text such as 2GiB or 800MB, this is {memory!r}")


def check_mode(mode: Any) -> None:
    """Raise `SmrError` unless it is one of `MODES`."""
    if mode not in MODES:
        hint = did_you_mean(str(mode), MODES) or f"; there are {', '.join(MODES)}"
        raise SmrError(f"no mode `{mode}`{hint}")
