"""A-bar, the matrix that takes a state to the next one, on states that are real vectors of N numbers.

The half-stored state of N/2 complex numbers is kept as [Re; Im]. On it a complex number p + iq acts as the real matrix
[[p, -q], [q, p]], and the conjugate half makes a low-rank term real too: x -> P (P^H x + conj) is q q^T x with
q = sqrt(2) [Re P; Im P]. So S4D and S4 are real systems here, and `transposed` is what moves a row C past A-bar.

A transition acts on bundles of states (H, m, N): channels, any number of vectors, state. One that differs by sequence has
the batch in the place of m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]
"""Real and imaginary part."""


def swap(x: Tensor) -> Tensor:
    """[Re; Im] -> [Im; Re]"""
    return x.roll(x.shape[-1] // 2, -1)


class Transition(Protocol):
    """A linear map of states, one per channel."""

    def apply(self, x: Tensor) -> Tensor:
        """A x, (H, m, N)."""
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
        """The same in another precision."""
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

    def apply(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.same * x, self.cross, swap(x))

    def next(self, x: Tensor, z: Tensor) -> Tensor:
        return torch.addcmul(torch.addcmul(z, self.same, x), self.cross, swap(x))

    def after(self, other: Diagonal) -> Diagonal:
        """self other"""
        return Diagonal(
            torch.addcmul(self.same * other.same, self.cross, other.cross, value=-1),
            torch.addcmul(self.same * other.cross, self.cross, other.same),
        )

    def squared(self) -> Diagonal:
        return self.after(self)

    def transposed(self) -> Diagonal:
        return Diagonal(self.same, -self.cross)

    def to(self, dtype: torch.dtype) -> Diagonal:
        return Diagonal(self.same.to(dtype), self.cross.to(dtype))


@dataclass(frozen=True)
class Dense:
    """Any matrix per channel, (H, N, N), or per channel and sequence, (H, B, N, N)."""

    matrix: Tensor

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
        return Dense(self.matrix.to(dtype))


@dataclass(frozen=True)
class LowRank:
    """Diagonal plus low rank: A x = diagonal x - sum_r left_r (right_r . x), both (H, 1, rank, N)."""

    diagonal: Diagonal
    left: Tensor
    right: Tensor

    def apply(self, x: Tensor) -> Tensor:
        along = (self.right * x.unsqueeze(-2)).sum(-1, keepdim=True)
        return self.diagonal.apply(x) - (along * self.left).sum(-2)

    def next(self, x: Tensor, z: Tensor) -> Tensor:
        return self.apply(x) + z

    def squared(self) -> Dense:
        """The square has twice the rank, so from here on the matrix is dense."""
        return self.dense().squared()

    def dense(self) -> Dense:
        width = self.left.shape[-1]
        unit = torch.eye(width, dtype=self.left.dtype, device=self.left.device)
        return Dense(self.apply(unit.unsqueeze(0)).mT)

    def transposed(self) -> LowRank:
        return LowRank(self.diagonal.transposed(), self.right, self.left)

    def to(self, dtype: torch.dtype) -> LowRank:
        return LowRank(self.diagonal.to(dtype), self.left.to(dtype), self.right.to(dtype))
