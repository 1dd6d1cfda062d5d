"""Conditions: the job that a plan is made for, as users and files give it, checked. Needs no torch."""

from __future__ import annotations

from typing import Any

from smrdsl.core.errors import SmrError, did_you_mean
from smrdsl.plan.plan import Conditions

MODES = ("train", "infer", "decode")
DTYPES = ("float32", "float64")
LARGEST = 2**62
"""Of a length or batch: what the sizes of a tensor can be."""


def conditions(length: Any, batch: Any, mode: Any, dtype: Any, device: Any, disabled: Any = ()) -> Conditions:
    """The conditions of these values; dtype and device may be torch's. Raises `SmrError`."""
    for name, number in (("length", length), ("batch", batch)):
        whole = isinstance(number, int) and not isinstance(number, bool)
        if not whole or not 1 <= number <= LARGEST:
            raise SmrError(f"{name} must be a whole number from 1 to {LARGEST:.0e}, this is {number!r}")
    check_mode(mode)
    kind = str(dtype).removeprefix("torch.")
    if kind not in DTYPES:
        raise SmrError(f"no dtype `{kind}`; there are {' and '.join(DTYPES)} (bfloat16 by torch.autocast)")
    return Conditions(length, batch, mode, kind, str(device), tuple(map(str, disabled)))


def check_mode(mode: Any) -> None:
    """Raise `SmrError` unless it is one of `MODES`."""
    if mode not in MODES:
        hint = did_you_mean(str(mode), MODES) or f"; there are {', '.join(MODES)}"
        raise SmrError(f"no mode `{mode}`{hint}")
