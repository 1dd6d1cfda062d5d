"""Sampled systems equal the matrix formulas, and keep their digits where those lose them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from smrdsl.kernels.discretise import (
    diagonal_bilinear,
    diagonal_zoh,
    low_rank_bilinear,
    low_rank_columns,
    low_rank_zoh,
    real,
)
from smrdsl.kernels.transition import Dense, Diagonal, Pair
from tests.kernels.systems import matrix, parts


def continuous(lam: Pair, p: Pair | None) -> Tensor:
    """A as a real matrix, (H, N, N)."""
    a = matrix(Diagonal.of(lam))
    if p is None:
        return a
    q = low_rank_columns(p).squeeze(1)
    return a - q.mT @ q


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_both_rules_are_their_matrix_formulas(rank: int) -> None:
    lam, p, b, step = parts(3, 6, max(rank, 1))
    a, unit = continuous(lam, p if rank else None), torch.eye(6, dtype=torch.float64)
    rules = (low_rank_zoh, low_rank_bilinear) if rank else (diagonal_zoh, diagonal_bilinear)
    given = (lam, p, b, step) if rank else (lam, b, step)

    held, held_b = rules[0](*given)
    grown = torch.linalg.matrix_exp(step * a)
    torch.testing.assert_close(matrix(held), grown)
    torch.testing.assert_close(held_b, torch.linalg.solve(a, (grown - unit) @ real(b).mT).mT)

    halved, halved_b = rules[1](*given)
    solve = torch.linalg.inv(unit - step * a / 2)
    torch.testing.assert_close(matrix(halved), solve @ (unit + step * a / 2))
    torch.testing.assert_close(halved_b, step * (solve @ real(b).mT).mT)


def test_the_low_rank_term_is_that_of_the_paired_complex_matrix() -> None:
    """A = diag(Lambda, Lambda*) - P P^H on states and their conjugates, (..., N/2) each."""
    lam, p, _, _ = parts(2, 6, rank=2)
    whole = torch.complex(*lam).squeeze(1)
    columns = torch.complex(*p).squeeze(2)
    whole, columns = (torch.cat([z, z.conj()], -1) for z in (whole, columns))
    a = torch.diag_embed(whole) - torch.einsum("rhn,rhm->hnm", columns, columns.conj())
    x = torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    state = torch.complex(x[:, :3], x[:, 3:])
    wanted = torch.einsum("hnm,hm->hn", a, torch.cat([state, state.conj()], -1))[:, :3]
    found = torch.einsum("hnm,hm->hn", continuous(lam, p), x)
    torch.testing.assert_close(torch.complex(found[:, :3], found[:, 3:]), wanted)


def test_small_steps_lose_no_digits() -> None:
    """(e^z - 1) / Lambda tends to the step itself; computed as written it would keep seven digits of z = 1e-9."""
    lam = torch.full((1, 1, 1), -1.0).double(), torch.full((1, 1, 1), -2.0).double()
    b = torch.ones(1, 1, 1).double(), torch.zeros(1, 1, 1).double()
    step = torch.full((1, 1, 1), 1e-9).double()
    _, b_bar = diagonal_zoh(lam, b, step)
    series = step * (1 - 0.5 * step), -step * step
    torch.testing.assert_close(b_bar, real(series), rtol=0, atol=1e-24)


@pytest.mark.parametrize("rule", [low_rank_zoh, low_rank_bilinear])
def test_steps_may_differ_by_sequence(rule: object) -> None:
    lam, p, b, step = parts(3, 6, rank=2)
    steps = step * torch.tensor([[0.5], [2.0]], dtype=torch.float64)
    x = torch.randn(3, 2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    a, b_bar = rule(lam, p, b, steps)  # type: ignore[operator]
    for i in range(2):
        alone, b_alone = rule(lam, p, b, steps[:, i : i + 1])  # type: ignore[operator]
        torch.testing.assert_close(a.apply(x)[:, i], alone.apply(x[:, i : i + 1])[:, 0])
        torch.testing.assert_close(b_bar[:, i], b_alone[:, 0])
    assert isinstance(a, Dense) == (rule is low_rank_zoh)
