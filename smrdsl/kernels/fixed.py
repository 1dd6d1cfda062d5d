"""A bank of systems that are discrete in themselves, such as moving averages: there is no step to scale.

It runs as a `Core` does (`core.py`), by the same strategies. Where there are two directions, each has an A, b and c of
its own, and both count the present sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from smrdsl.kernels.memo import Kept
from smrdsl.kernels.powers import Powers
from smrdsl.kernels.system import System
from smrdsl.kernels.transition import Transition


@dataclass(frozen=True)
class Fixed:
    """x_t = A x_{t-1} + b u_t, y_t = c . x_t + d u_t: b, c (H, 1, N) and the skip d (H), or None, in wide precision.

    `other` is the direction that runs backwards, where there is one. `kept` holds what was last made of the numbers.
    """

    a: Transition
    b: Tensor
    c: Tensor
    d: Tensor | None = None
    other: Fixed | None = None
    kept: Kept | None = None

    counts_present_twice: ClassVar[bool] = True

    def system(self, rate: object, dtype: torch.dtype) -> System:
        """This direction, for streams of `dtype`."""
        assert rate is None, "there is no step"
        d = None if self.d is None else self.d.to(dtype)
        return System(Powers(self.a), self.b.to(dtype), self.c.to(dtype), d)

    def blocks(self, rate: object, dtype: torch.dtype, width: int) -> list[tuple[System, ...]]:
        """The systems of all directions, by blocks of `width` channels."""
        ways = [way.system(rate, dtype).split(width) for way in (self, self.other) if way is not None]
        return list(zip(*ways, strict=True))
