"""What was made of parameters is kept while they hold the same numbers, so that a step does not sample its system anew.

Numbers are compared, not versions: a change made through `.data` leaves no other trace. On a CPU that costs half of a
step; elsewhere it would make the host wait for the device, and nothing is kept. Who knows that no weight changes says
so: within `frozen()` what was made last is taken unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")
Kept = dict[str, tuple[object, Any]]
"""Kind of thing -> what it was made for, and the thing: the last one of each kind."""


_frozen: ContextVar[bool] = ContextVar("frozen", default=False)


@contextmanager
def frozen() -> Iterator[None]:
    """No parameter changes within: nothing is compared. What was kept before must be up to date."""
    token = _frozen.set(True)
    try:
        yield
    finally:
        _frozen.reset(token)


class Memo(Generic[T]):
    """The last thing made of some parameters. Copies of a layer start without one."""

    def __init__(self) -> None:
        self._last: tuple[list[Tensor], T] | None = None

    def __call__(self, parameters: Sequence[Tensor], make: Callable[[Kept | None], T]) -> T:
        """`make(kept)` or, for the same numbers, what it was before; `kept` is None where nothing may be kept."""
        if not may_keep(parameters):
            return make(None)
        last = self._last
        if last is not None and _frozen.get():
            return last[1]
        if last is None or not same(last[0], parameters):
            last = self._last = ([p.detach().clone() for p in parameters], make({}))
        return last[1]

    def __reduce__(self) -> tuple[type[Memo[T]], tuple[()]]:
        return Memo, ()


def may_keep(parameters: Sequence[Tensor]) -> bool:
    """Only without gradients, and for plain tensors on the CPU, outside of anything that is being traced."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    return all(type(p) in (nn.Parameter, Tensor) and p.device.type == "cpu" for p in parameters)


def same(before: Sequence[Tensor], now: Sequence[Tensor]) -> bool:
    pairs = zip(before, now, strict=True)
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)


def remember(kept: Kept | None, kind: str, key: tuple[object, ...], make: Callable[[], T]) -> T:
    """The thing of that kind if it was made for the same key, else a new one, which is kept."""
    if kept is None or any(isinstance(part, Tensor) for part in key):
        return make()
    found = kept.get(kind)
    if found is None or found[0] != key:
        found = kept[kind] = key, make()
    return found[1]
