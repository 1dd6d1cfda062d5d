"""Complex modes by Triton, steady and varying, against the loop in float64."""

from __future__ import annotations

import pytest
import torch

from smrdsl.kernels.modes import recur
from smrdsl.kernels.native_modes import modes_forward
from tests.native.test_modes import modes
from tests.triton.where import TILE, close, normal, triton

__all__ = ["triton"]
every_kind = pytest.mark.parametrize("varying", [False, True])


@every_kind
@pytest.mark.parametrize("sizes", [(1, 2 * TILE + 1, 5), (1, 1, 1), (2, TILE, 3)])
def test_it_is_the_recurrence(varying: bool, sizes: tuple[int, int, int]) -> None:
    batch, length, count = sizes
    shape = (batch, length, count) if varying else (count,)
    mine = [
        normal(batch, length, 2 * count, seed=1),
        normal(batch, 2 * count, seed=2),
        0.7 * normal(*shape, seed=3).tanh(),
        0.7 * normal(*shape, seed=4).tanh(),
    ]
    wide = [p.double().requires_grad_() for p in mine]
    mine = [p.requires_grad_() for p in mine]
    found, wanted = modes_forward(*mine), recur(modes(*wide[2:]), *wide[:2])
    close(found, wanted)
    g = normal(*found.shape, seed=5)
    pairs = zip(torch.autograd.grad(found, mine, g), torch.autograd.grad(wanted, wide, g.double()), strict=True)
    for p, q in pairs:
        close(p, q, 2e-5)


def test_factors_may_lie_apart() -> None:
    v, x, a = normal(2, TILE + 2, 6), normal(2, 6), 0.5 * normal(2, TILE + 2, 8).tanh()
    found = modes_forward(v, x, a[..., :3], a[..., 4:7])
    close(found, recur(modes(a[..., :3].double(), a[..., 4:7].double()), v.double(), x.double()))


@every_kind
@pytest.mark.parametrize("shape", [(0, 5), (2, 0)])
def test_nothing_gives_nothing(varying: bool, shape: tuple[int, int]) -> None:
    a = normal(*(shape if varying else ()), 3).requires_grad_()
    y = modes_forward(normal(*shape, 6), normal(shape[0], 6), a, a)
    assert y.shape == (*shape, 6)
    y.sum().backward()
    assert a.grad is not None
    assert not a.grad.any()


def test_what_is_not_a_number_stays_in_its_mode_and_sequence() -> None:
    v, x, a = normal(2, 2 * TILE, 6), normal(2, 6), 0.5 * normal(3).tanh()
    bad = v.clone()
    bad[1, 2, 1] = float("nan")
    clean, dirty = modes_forward(v, x, a, a), modes_forward(bad, x, a, a)
    reached = torch.zeros_like(v, dtype=torch.bool)
    reached[1, 2:, [1, 4]] = True
    assert torch.equal(clean[~reached], dirty[~reached])
    assert dirty[1, 2:, 1].isnan().all()
