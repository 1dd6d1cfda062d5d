"""From x' = A x + B u and a step to x_t = A-bar x_{t-1} + B-bar u_t, exactly and in real arithmetic.

    zoh        A-bar = e^{dA}                          B-bar = (e^{dA} - 1) / A B
    bilinear   A-bar = (1 - dA/2)^-1 (1 + dA/2)        B-bar = d (1 - dA/2)^-1 B

for the diagonal A = Lambda of S4D and the A = Lambda - P P^H of S4. Complex numbers are pairs (H, 1, N/2), P is
(rank, H, 1, N/2); the step d is (H, 1, 1), or (H, B, 1) where it differs by sequence. What comes out is a transition
and B-bar as a real vector (H, 1 or B, N).

Source: Gu et al. 2022, "Efficiently Modeling Long Sequences with Structured State Spaces", eq. 3 for the bilinear rule;
"On the Parameterization and Initialization of Diagonal State Space Models" for both.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels.transition import Dense, Diagonal, LowRank, Pair


def multiply(a: Pair, b: Pair) -> Pair:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def inverse(a: Pair) -> Pair:
    """1 / a"""
    size = a[0] * a[0] + a[1] * a[1]
    return a[0] / size, -a[1] / size


def real(a: Pair) -> Tensor:
    """A complex vector as the real one, [Re; Im]."""
    return torch.cat(a, -1)


def exponential(z: Pair) -> tuple[Pair, Pair]:
    """e^z, and e^z - 1 without cancellation."""
    x, y = z
    grown, turned = torch.exp(x), torch.cos(y)
    im = grown * torch.sin(y)
    return (grown * turned, im), (torch.expm1(x) * turned - 2 * torch.sin(y / 2) ** 2, im)


def diagonal_zoh(lam: Pair, b: Pair, d: Tensor) -> tuple[Diagonal, Tensor]:
    """Zero-order hold for A = Lambda, exact however small the step."""
    grown, less_one = exponential((lam[0] * d, lam[1] * d))
    return Diagonal.of(grown), real(multiply(multiply(less_one, inverse(lam)), b))


def diagonal_bilinear(lam: Pair, b: Pair, d: Tensor) -> tuple[Diagonal, Tensor]:
    """Bilinear rule for A = Lambda."""
    x, y = lam[0] * d / 2, lam[1] * d / 2
    solved = inverse((1 - x, -y))
    return Diagonal.of(multiply(solved, (1 + x, y))), real(multiply(solved, (d * b[0], d * b[1])))


def low_rank_columns(p: Pair) -> Tensor:
    """P -> q (H, 1, rank, N), with P P^H and its conjugate half acting as q q^T."""
    return math.sqrt(2) * real(p).movedim(0, 2)


def low_rank_bilinear(lam: Pair, p: Pair, b: Pair, d: Tensor) -> tuple[LowRank, Tensor]:
    """Bilinear rule for A = Lambda - P P^H, by Woodbury's identity.

    With E = (1 - dLambda/2)^-1 the inverse of 1 - dA/2 is R = E - E q (2/d + q^T E q)^-1 q^T E, and A-bar = 2 R - 1,
    B-bar = d R B. The small matrix is at least 2/d, since Re Lambda < 0: nothing cancels.
    """
    half, q = d / 2, low_rank_columns(p)
    solved = Diagonal.of(inverse((1 - lam[0] * half, -lam[1] * half)))
    left = _each(solved, q)
    right = _each(solved.transposed(), q)
    scale = half.unsqueeze(-1)
    small = scale * (q @ left.mT) + torch.eye(q.shape[-2], dtype=q.dtype, device=q.device)
    left = 2 * scale * torch.linalg.solve(small.mT, left)
    a = LowRank(Diagonal(2 * solved.same - 1, 2 * solved.cross), left, right)
    b_real = real(b).expand(*half.shape[:2], -1)
    return a, half * (a.apply(b_real) + b_real)


def low_rank_zoh(lam: Pair, p: Pair, b: Pair, d: Tensor) -> tuple[Dense, Tensor]:
    """Zero-order hold for A = Lambda - P P^H, by the exponential of the real matrix d [[A, B], [0, 0]]."""
    q = low_rank_columns(p)
    a = LowRank(Diagonal.of(lam), q, q).dense().matrix
    size = a.shape[-1]
    both = F.pad(torch.cat([a, real(b).mT], -1), (0, 0, 0, 1))
    grown = torch.linalg.matrix_exp(d.unsqueeze(-1) * both.unsqueeze(1))
    a_bar, b_bar = grown[..., :size, :size], grown[..., :size, size]
    return Dense(a_bar.squeeze(1) if d.shape[1] == 1 else a_bar), b_bar


def _each(a: Diagonal, q: Tensor) -> Tensor:
    """A applied to every column of q, (H, 1 or B, rank, N)."""
    wide = Diagonal(a.same.unsqueeze(-2), a.cross.unsqueeze(-2))
    return wide.apply(q)
