"""Running out of memory, told with what would fit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from smrdsl.core.errors import SmrError
from smrdsl.training.job import Ready

SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "Cannot allocate memory")


@contextlib.contextmanager
def out_of_memory(ready: Ready) -> Iterator[None]:
    """Tell it as an `SmrError` that says which batch would do."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        plain = isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError)
        if isinstance(error, SmrError) or (plain and not any(sign in str(error) for sign in SIGNS)):
            raise
        raise SmrError(_what_would_fit(ready)) from None


def _what_would_fit(ready: Ready) -> str:
    s, length = ready.job.settings, ready.data.train.u.shape[-1 if ready.data.train.u.dtype.kind != "f" else -2]
    each = s.batch // (s.devices * s.nodes)
    told = f"out of memory with batches of {each} sequences of {length:,} on each device"
    if each > 1:
        half = s.batch // 2
        return f"{told}; --batch {half} --accumulate {2 * s.accumulate} takes about half, for the same updates"
    return f"{told}; shorter sequences (--length) or a smaller model are what is left"
