"""Convolution by FFT equals the sum that defines it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels.convolution import convolve, convolve_around, convolve_both, period


def streams(length: int) -> tuple[Tensor, Tensor, Tensor]:
    """u (B, L, H) and two kernels (H, L)."""
    g = torch.Generator().manual_seed(length)
    u = torch.randn(2, length, 3, dtype=torch.float64, generator=g)
    return u, *torch.randn(2, 3, length, dtype=torch.float64, generator=g)


@pytest.mark.parametrize("length", [1, 2, 7, 33])
def test_both_directions_are_sums(length: int) -> None:
    u, k, back = streams(length)
    ahead, later = torch.zeros_like(u), torch.zeros_like(u)
    for t in range(length):
        for j in range(t + 1):
            ahead[:, t] += k[:, j] * u[:, t - j]
        for j in range(length - t - 1):
            later[:, t] += back[:, j] * u[:, t + 1 + j]
    torch.testing.assert_close(convolve(u, k), ahead)
    torch.testing.assert_close(convolve_both(u, k, back), ahead + later)
    present = F.pad(later[:, :-1], (0, 0, 1, 0))  # back_0 meets the present sample: all is one time earlier
    present[:, 0] = sum(back[:, j] * u[:, j] for j in range(length))
    torch.testing.assert_close(convolve_around(u, k, back), ahead + present)


def test_every_sequence_may_have_a_kernel_of_its_own() -> None:
    u, k, back = streams(9)
    own, theirs = torch.stack([k, 2 * back]), torch.stack([back, k])
    alone = [convolve_both(u[i : i + 1], own[i], theirs[i]) for i in range(2)]
    torch.testing.assert_close(convolve_both(u, own, theirs), torch.cat(alone))


@pytest.mark.parametrize("length", [*range(1, 50), 1023, 1024, 4097])
def test_transforms_are_long_enough_even_and_quick(length: int) -> None:
    size = period(length)
    assert 2 * length <= size <= 4 * length
    assert size % 2 == 0
    for prime in (2, 3, 5):
        while size % prime == 0:
            size //= prime
    assert size == 1


def test_no_smaller_quick_size_is_passed_over() -> None:
    def quick(n: int) -> bool:
        for prime in (2, 3, 5):
            while n % prime == 0:
                n //= prime
        return n == 1

    for length in range(1, 300):
        assert period(length) == next(n for n in range(2 * length, 4 * length + 1, 2) if quick(n))
