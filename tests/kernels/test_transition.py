"""Every kind of A-bar is the real matrix that it stands for."""

from __future__ import annotations

import pytest
import torch

from smrdsl.kernels.transition import Diagonal, LowRank, flush
from tests.kernels.systems import KINDS, matrix, transition


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rank", [1, 2])
def test_a_transition_is_a_matrix(kind: str, rank: int) -> None:
    a, _ = transition(kind, 3, 8, rank)
    dense = matrix(a)
    x, z = torch.randn(2, 3, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(a.apply(x), x @ dense.mT)
    torch.testing.assert_close(a.next(x, z), x @ dense.mT + z)
    torch.testing.assert_close(a.transposed().apply(x), x @ dense)
    torch.testing.assert_close(matrix(a.squared()), dense @ dense)
    torch.testing.assert_close(torch.cat([matrix(part) for part in a.split(2)]), dense)
    assert a.to(torch.float32).apply(x.float()).dtype == torch.float32


def test_squares_stay_of_low_rank_while_that_is_cheaper() -> None:
    a, _ = transition("low rank", 2, 64)
    ranks = []
    for power in (2, 4, 8, 16):
        a = a.squared()
        torch.testing.assert_close(matrix(a), torch.matrix_power(matrix(transition("low rank", 2, 64)[0]), power))
        ranks.append(a.left.shape[2] if isinstance(a, LowRank) else None)
    assert ranks == [2, 4, 8, None]


def test_a_product_of_diagonals() -> None:
    a, b = (transition("diagonal", 3, 8, seed=seed)[0] for seed in (0, 1))
    assert isinstance(a, Diagonal)
    assert isinstance(b, Diagonal)
    torch.testing.assert_close(matrix(a.after(b)), matrix(a) @ matrix(b))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sampled_system_is_a_contraction(kind: str) -> None:
    """Lambda - P P^H is dissipative in the usual norm, so that no power of A-bar grows."""
    for seed in range(5):
        norm = torch.linalg.matrix_norm(matrix(transition(kind, 4, 8, seed=seed)[0]), 2)
        assert (norm < 1).all()


def test_what_dies_out_is_zero_before_it_is_denormal() -> None:
    x = torch.tensor([1e-44, -1e-20, 1e-9, 1.0])
    assert flush(x).tolist() == [0.0, 0.0, *x[2:].tolist()]
    assert flush(x.double()).tolist() == x.double().tolist()
