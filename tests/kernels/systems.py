"""Small systems for the tests of the kernels, and what they are as complex matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from smrdsl.kernels.discretise import diagonal_zoh, low_rank_bilinear
from smrdsl.kernels.powers import Powers
from smrdsl.kernels.system import System
from smrdsl.kernels.transition import Dense, Diagonal, LowRank, Pair, RealDiagonal, Transition

KINDS = ("diagonal", "real", "low rank", "dense")


def parts(channels: int, states: int, rank: int = 1, seed: int = 0) -> tuple[Pair, Pair, Pair, Tensor]:
    """Lambda, P, B (H, 1, N/2) of a stable system, and its steps (H, 1, 1)."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    size = (channels, 1, states // 2)
    lam = -torch.exp(normal(*size)), 3 * normal(*size)
    p = normal(rank, *size), normal(rank, *size)
    b = normal(*size), normal(*size)
    return lam, p, b, torch.exp(normal(channels, 1, 1) - 2)


def transition(kind: str, channels: int, states: int, rank: int = 1, seed: int = 0) -> tuple[Transition, Tensor]:
    """A-bar of that kind, and B-bar (H, 1, N)."""
    lam, p, b, step = parts(channels, states, rank, seed)
    if kind == "diagonal":
        return diagonal_zoh(lam, b, step)
    if kind == "real":
        faded = torch.cat([lam[0] * step, 2 * lam[0] * step], -1)
        return RealDiagonal(torch.exp(faded)), torch.cat(b, -1)
    a, b_bar = low_rank_bilinear(lam, p, b, step)
    return a if kind == "low rank" else a.dense(), b_bar


def system(kind: str, channels: int, states: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> System:
    a, b = transition(kind, channels, states, seed=seed)
    g = torch.Generator().manual_seed(seed + 1)
    c = torch.randn(channels, 1, states, generator=g, dtype=torch.float64)
    d = torch.randn(channels, generator=g, dtype=torch.float64)
    return System(Powers(a), b.to(dtype), c.to(dtype), d.to(dtype))


def matrix(a: Transition) -> Tensor:
    """The real N x N matrices of a transition, (H, N, N), entry by entry from its definition."""
    if isinstance(a, Dense):
        return a.matrix
    if isinstance(a, RealDiagonal):
        return torch.diag_embed(a.factors[:, 0])
    if isinstance(a, LowRank):
        return matrix(a.diagonal) - torch.einsum("hori,horj->hij", a.left, a.right)
    assert isinstance(a, Diagonal)
    channels, _, states = a.same.shape
    half, rows = states // 2, torch.zeros(channels, states, states, dtype=a.same.dtype)
    for i in range(states):
        rows[:, i, i] = a.same[:, 0, i]
        rows[:, i, (i + half) % states] = a.cross[:, 0, i]
    return rows


def run(s: System, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The recurrence of a system: u (B, L, H), x (B, H, N) -> outputs and the last state."""
    a, outputs = matrix(s.powers.square(0, torch.float64)), []
    for t in range(u.shape[1]):
        x = torch.einsum("hij,bhj->bhi", a, x) + s.b[:, 0] * u[:, t, :, None]
        outputs.append((x * s.c[:, 0]).sum(-1) + (0 if s.d is None else s.d * u[:, t]))
    return torch.stack(outputs, 1), x
