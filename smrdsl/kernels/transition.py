"""A-bar, the matrix that takes a state to the next one, on states that are real vectors of N numbers.

The half-stored state of N/2 complex numbers is kept as [Re; Im]. On it a complex number p + iq acts as the real matrix
[[p, -q], [q, p]], and the conjugate half makes a low-rank term real too: x -> P (P^H x + conj) is q q^T x with
q = sqrt(2) [Re P; Im P]. So S4D and S4 are real systems here, and `transposed` is what moves a row C past A-bar.
Where A is real in itself, as in a moving average, a state is N real numbers and nothing more.

A transition acts on bundles of states (H, m, N): channels, any number of vectors, state. One that differs by sequence
has the batch in the place of m. Sums are finished in place, in a tensor made for them: fresh memory costs more than
arithmetic does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

Pair = tuple[Tensor, Tensor]
"""Real and imaginary part."""
DENSE_ABOVE = 8
"""A square whose rank is above N / DENSE_ABOVE is dense: beyond, its parts would cost more than the whole."""


def swap(x: Tensor) -> Tensor:
    """[Re; Im] -> [Im; Re]"""
    return x.roll(x.shape[-1] // 2, -1)


def flush(x: Tensor) -> Tensor:
    """0 for what is far below rounding beside the entries up to 1 of a power of A: 2e-13 in float32, 3e-103 in float64.

    Powers that die out would end in denormal numbers, with which a CPU multiplies ten times slower. Gradients pass as
    if nothing was flushed: an entry that is 0 at first, as where Im Lambda is, has to be able to leave it.
    """
    flushed = F.hardshrink(x, torch.finfo(x.dtype).tiny ** (1 / 3))
    return x + (flushed - x).detach() if x.requires_grad else flushed


class Transition(Protocol):
    """A linear map of states, one per channel."""

    @property
    def square_cost(self) -> int:
        """How long the square takes, in products with a few vectors; measured on a CPU for N from 16 to 256."""
        ...

    def apply(self, x: Tensor) -> Tensor:
        """A x, (H, m, N), in a tensor of its own."""
        ...

    def next(self, x: Tensor, z: Tensor) -> Tensor:
        """A x + z"""
        ...

    def squared(self) -> Transition:
        """A A"""
        ...

    def transposed(self) -> Transition:
        """A^T"""
        ...

    def to(self, dtype: torch.dtype) -> Transition:
        """The same in another precision, small entries flushed."""
        ...

    def split(self, width: int) -> Sequence[Transition]:
        """The same, by blocks of `width` channels."""
        ...


@dataclass(frozen=True)
class Diagonal:
    """Complex numbers, N/2 per channel: A x = same * x + cross * swap(x), both (H, 1, N)."""

    same: Tensor
    cross: Tensor

    @classmethod
    def of(cls, a: Pair) -> Diagonal:
        """From real and imaginary parts, (H, 1, N/2)."""
        re, im = a
        return cls(torch.cat([re, re], -1), torch.cat([-im, im], -1))

    @classmethod
    def from_vectors(cls, x: Tensor) -> Diagonal:
        """Multiplication by the complex numbers that are stored as a state, [Re; Im]."""
        re, im = x.chunk(2, -1)
        return cls.of((re, im))

    @staticmethod
    def one(like: Tensor) -> Tensor:
        """The state that is 1 everywhere, (H, 1, N) for states (H, m, N)."""
        channels, _, states = like.shape
        return (torch.arange(states, device=like.device) < states // 2).to(like.dtype).expand(channels, 1, states)

    @property
    def square_cost(self) -> int:
        return 0

    def apply(self, x: Tensor) -> Tensor:
        return (self.same * x).addcmul_(self.cross, swap(x))

    def next(self, x: Tensor, z: Tensor) -> Tensor:
        return torch.addcmul(z, self.same, x).addcmul_(self.cross, swap(x))

    def after(self, other: Diagonal) -> Diagonal:
        """self other"""
        return Diagonal(
            (self.same * other.same).addcmul_(self.cross, other.cross, value=-1),
            (self.same * other.cross).addcmul_(self.cross, other.same),
        )

    def squared(self) -> Diagonal:
        return self.after(self)

    def transposed(self) -> Diagonal:
        return Diagonal(self.same, -self.cross)

    def to(self, dtype: torch.dtype) -> Diagonal:
        return Diagonal(flush(self.same.to(dtype)), flush(self.cross.to(dtype)))

    def split(self, width: int) -> list[Diagonal]:
        pairs = zip(self.same.split(width), self.cross.split(width), strict=True)
        return [Diagonal(same, cross) for same, cross in pairs]


@dataclass(frozen=True)
class RealDiagonal:
    """Real numbers, N per channel: A x = factors * x, (H, 1, N)."""

    factors: Tensor

    @classmethod
    def from_vectors(cls, x: Tensor) -> RealDiagonal:
        """Multiplication by the numbers that are stored as a state."""
        return cls(x)

    @staticmethod
    def one(like: Tensor) -> Tensor:
        """The state that is 1 everywhere, (H, 1, N) for states (H, m, N)."""
        channels, _, states = like.shape
        return like.new_ones(channels, 1, states)

    @property
    def square_cost(self) -> int:
        return 0

    def apply(self, x: Tensor) -> Tensor:
        return self.factors * x

    def next(self, x: Tensor, z: Tensor) -> Tensor:
        return torch.addcmul(z, self.factors, x)

    def squared(self) -> RealDiagonal:
        return RealDiagonal(self.factors * self.factors)

    def transposed(self) -> RealDiagonal:
        return self

    def to(self, dtype: torch.dtype) -> RealDiagonal:
        return RealDiagonal(flush(self.factors.to(dtype)))

    def split(self, width: int) -> list[RealDiagonal]:
        return [RealDiagonal(factors) for factors in self.factors.split(width)]


@dataclass(frozen=True)
class Dense:
    """Any matrix per channel, (H, N, N), or per channel and sequence, (H, B, N, N)."""

    matrix: Tensor

    @property
    def square_cost(self) -> int:
        return self.matrix.shape[-1] // 16

    def apply(self, x: Tensor) -> Tensor:
        if self.matrix.dim() == 4:
            return (self.matrix @ x.unsqueeze(-1)).squeeze(-1)
        return x @ self.matrix.mT

    def next(self, x: Tensor, z: Tensor) -> Tensor:
        return self.apply(x) + z

    def squared(self) -> Dense:
        return Dense(self.matrix @ self.matrix)

    def transposed(self) -> Dense:
        return Dense(self.matrix.mT)

    def to(self, dtype: torch.dtype) -> Dense:
        return Dense(flush(self.matrix.to(dtype)))

    def split(self, width: int) -> list[Dense]:
        return [Dense(matrix) for matrix in self.matrix.split(width)]


@dataclass(frozen=True)
class LowRank:
    """Diagonal plus low rank: A x = diagonal x - sum_r left_r (right_r . x), both (H, m, r, N), m = 1 or the batch."""

    diagonal: Diagonal
    left: Tensor
    right: Tensor

    @property
    def square_cost(self) -> int:
        rank, states = self.left.shape[-2:]
        return 0 if 2 * rank * DENSE_ABOVE <= states else states // 4

    def apply(self, x: Tensor) -> Tensor:
        if self.left.shape[1] == 1:
            left, right = self.left.squeeze(1), self.right.squeeze(1)
            return self.diagonal.apply(x).baddbmm_(x @ right.mT, left, alpha=-1)
        along = (self.right * x.unsqueeze(-2)).sum(-1, keepdim=True)
        return self.diagonal.apply(x) - (along * self.left).sum(-2)

    def next(self, x: Tensor, z: Tensor) -> Tensor:
        return self.apply(x) + z

    def squared(self) -> Transition:
        """Of twice the rank, (D - UV)^2 = D D - [D U - U V U, U] [V, V D], and dense where that is not low any more."""
        left, right = self.left.squeeze(1), self.right.squeeze(1)
        turned = self.diagonal.apply(left) - (left @ right.mT) @ left
        left = torch.cat([turned, left], 1)
        right = torch.cat([right, self.diagonal.transposed().apply(right)], 1)
        square = LowRank(self.diagonal.squared(), left.unsqueeze(1), right.unsqueeze(1))
        return square if DENSE_ABOVE * left.shape[1] <= left.shape[2] else square.dense()

    def dense(self) -> Dense:
        matrix = (-self.left).squeeze(1).mT @ self.right.squeeze(1)
        half = matrix.shape[-1] // 2
        above, below = self.diagonal.cross.squeeze(1).chunk(2, -1)
        matrix.diagonal(dim1=1, dim2=2).add_(self.diagonal.same.squeeze(1))
        matrix.diagonal(half, dim1=1, dim2=2).add_(above)
        matrix.diagonal(-half, dim1=1, dim2=2).add_(below)
        return Dense(matrix)

    def transposed(self) -> LowRank:
        return LowRank(self.diagonal.transposed(), self.right, self.left)

    def to(self, dtype: torch.dtype) -> LowRank:
        return LowRank(self.diagonal.to(dtype), self.left.to(dtype), self.right.to(dtype))

    def split(self, width: int) -> list[LowRank]:
        sides = zip(self.left.split(width), self.right.split(width), strict=True)
        return [LowRank(a, *side) for a, side in zip(self.diagonal.split(width), sides, strict=True)]
