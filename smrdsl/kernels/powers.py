"""Powers of A-bar, by doubling.

torch's complex exponential is a hundred times slower on a CPU than a real one, and a power for every channel, state and
time does not fit in memory; so none is ever taken. The squares A, A^2, A^4, ... are few and small: they are squared in
wide precision and used in that of the model, so that A^j passes through few roundings.
"""

from __future__ import annotations

import torch
from torch import Tensor

from smrdsl.kernels.transition import Diagonal, RealDiagonal, Transition

SHORT = 8
"""Longer orbits of a diagonal A are made of two shorter ones."""


def wide(x: Tensor) -> Tensor:
    """In the precision in which systems are discretised: float64 where the device has it."""
    return x.float() if x.device.type == "mps" else x.double()


class Powers:
    """A^(2^k) for k = 0, 1, ..., as far as they are asked for. Below, G = A^(2^first)."""

    def __init__(self, a: Transition) -> None:
        self._squares = [a]

    def split(self, width: int) -> list[Powers]:
        """Those of blocks of `width` channels."""
        return [Powers(a) for a in self._squares[0].split(width)]

    def square(self, k: int, dtype: torch.dtype, transposed: bool = False) -> Transition:
        """A^(2^k), or its transpose."""
        a = self._wide(k).to(dtype)
        return a.transposed() if transposed else a

    def advance(self, x: Tensor, steps: int) -> Tensor:
        """A^steps x, (H, m, N)."""
        for k in range(steps.bit_length()):
            if steps >> k & 1:
                x = self.square(k, x.dtype).apply(x)
        return x

    def orbit(self, x: Tensor, count: int, first: int = 0, transposed: bool = False) -> Tensor:
        """x, G x, ..., G^(count - 1) x: (H, m, N) -> (H, count * m, N), the powers outermost."""
        if count > SHORT and isinstance(self._squares[0], Diagonal | RealDiagonal):
            return self._spread(type(self._squares[0]), x, count, first, transposed)
        vectors, have = x.shape[1], 1
        while have < count and count // have > self._wide(first).square_cost:
            x = torch.cat([x, self.square(first, x.dtype, transposed).apply(x)], 1)
            first, have = first + 1, 2 * have
        parts = [x]
        for _ in range(have, count, have):
            parts.append(self.square(first, x.dtype, transposed).apply(parts[-1]))
        return torch.cat(parts, 1)[:, : count * vectors]

    def _wide(self, k: int) -> Transition:
        while len(self._squares) <= k:
            self._squares.append(self._squares[-1].squared())
        return self._squares[k]

    def _spread(
        self, kind: type[Diagonal | RealDiagonal], x: Tensor, count: int, first: int, transposed: bool
    ) -> Tensor:
        """The same where A is diagonal: the numbers G^(i 2^log) times the vectors G^j x, in one pass."""
        vectors = x.shape[1]
        log = count.bit_length() // 2
        inner = self.orbit(x, 1 << log, first, transposed)
        numbers = self.orbit(kind.one(x), (count + (1 << log) - 1) >> log, first + log, transposed)
        spread = kind.from_vectors(numbers.unsqueeze(2)).apply(inner.unsqueeze(1))
        return spread.flatten(1, 2)[:, : count * vectors]
