"""Padded batches: what is behind an end is silenced or left in place, and has no gradient."""

from __future__ import annotations

import torch

from smrdsl.kernels.lengths import reverse, silence, turned, valid

LENGTHS = torch.tensor([3, 0, 5])


def test_the_times_that_belong_to_a_sequence() -> None:
    assert valid(LENGTHS, 5).long().tolist() == [[1, 1, 1, 0, 0], [0] * 5, [1] * 5]
    assert valid(LENGTHS[:2], 0).shape == (2, 0)


def test_what_is_silenced_may_be_nan() -> None:
    x = torch.arange(30.0).view(3, 5, 2).masked_fill(~valid(LENGTHS, 5)[..., None], torch.nan).requires_grad_()
    y = silence(x, LENGTHS)
    assert torch.equal(y, torch.nan_to_num(x.detach()))
    (gradient,) = torch.autograd.grad((y * y).sum(), x)
    assert torch.equal(gradient, 2 * y)


def test_each_sequence_is_reversed_by_itself() -> None:
    x = torch.arange(15.0).view(3, 5)
    wanted = [[2, 1, 0, 3, 4], [5, 6, 7, 8, 9], [14, 13, 12, 11, 10]]
    assert reverse(x, LENGTHS).tolist() == wanted
    deep = x[..., None, None].expand(3, 5, 2, 2)
    assert torch.equal(reverse(deep, LENGTHS)[..., 1, 0], reverse(x, LENGTHS))
    assert torch.equal(reverse(deep, torch.full((3,), 5)), deep.flip(1))


def test_reversing_twice_changes_nothing() -> None:
    x = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(reverse(reverse(x, LENGTHS), LENGTHS), x)


def test_the_gaps_of_a_reversed_sequence() -> None:
    dt = torch.tensor([[2.0, 3.0, 5.0, 7.0, 11.0]]).expand(3, 5).clone()
    assert turned(dt[:1]).tolist() == [[1, 11, 7, 5, 3]]
    dt[0, 3:] = torch.nan
    found = turned(dt, LENGTHS)
    assert found[0, :3].tolist() == [1, 5, 3]
    assert found[2].tolist() == [1, 11, 7, 5, 3]
    assert torch.isfinite(found).all()
    clock = dt[2].cumsum(0)
    between = (clock[:, None] - clock).abs()
    assert torch.equal((found[2].cumsum(0)[:, None] - found[2].cumsum(0)).abs().flip(0, 1), between)
