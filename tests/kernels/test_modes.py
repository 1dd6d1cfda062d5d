"""A bank of complex recurrences is the loop that defines it, whichever way it runs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smrdsl.kernels.modes import Modes, Steady, Varying, conv, double, recur, run, scan
from smrdsl.kernels.powers import Powers
from smrdsl.kernels.transition import Diagonal

LENGTHS = [1, 2, 15, 16, 17, 33, 256, 257, 300]
"""Within a chunk, chunks that come out even and that do not, and more chunks than a chunk is long."""
STATES = 3


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def coefficients(*shape: int) -> Tensor:
    """Complex numbers within the unit circle, slow and quick ones."""
    size = torch.exp(-torch.exp(numbers(*shape, STATES, seed=1) - 2))
    return torch.polar(size, numbers(*shape, STATES, seed=2))


def real(z: Tensor) -> Tensor:
    return torch.cat([z.real, z.imag], -1)


def complex_of(x: Tensor) -> Tensor:
    return torch.complex(*x.chunk(2, -1))


def steady(a: Tensor, dtype: torch.dtype = torch.float64) -> Steady:
    return Steady.of(Powers(Diagonal.of((a.real, a.imag))), dtype)


def loop(a: Tensor, v: Tensor, x: Tensor) -> Tensor:
    """x_t = a_t x_{t-1} + v_t in complex numbers, a (P) or (B, L, P)."""
    state, states = complex_of(x), []
    for t, now in enumerate(complex_of(v).unbind(1)):
        state = (a if a.dim() == 1 else a[:, t]) * state + now
        states.append(state)
    return real(torch.stack(states, 1))


def modes_of(a: Tensor) -> Modes:
    return steady(a) if a.dim() == 1 else Varying(Diagonal.of((a.real, a.imag)))


ways = {"scan": scan, "recurrent": recur, "conv": conv, "a symbol": double}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(way=st.sampled_from(sorted(ways)), varying=st.booleans(), length=st.sampled_from(LENGTHS), rest=st.booleans())
def test_every_way_is_the_loop(way: str, varying: bool, length: int, rest: bool) -> None:
    a = coefficients(2, length) if varying else coefficients()
    v, x = numbers(2, length, 2 * STATES), numbers(2, 2 * STATES, seed=3)
    x = torch.zeros_like(x) if rest else x
    # By its name, conv gives way to another where modes vary.
    found = run(way, modes_of(a), v, x) if way == "conv" else ways[way](modes_of(a), v, x)
    torch.testing.assert_close(found, loop(a, v, x), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("way", "varying"), [(w, v) for w in ways for v in (False, True) if not (v and w == "conv")])
def test_gradients_are_those_of_the_loop(way: str, varying: bool) -> None:
    length = 40
    a = (coefficients(2, length) if varying else coefficients()).requires_grad_()
    v, x = numbers(2, length, 2 * STATES).requires_grad_(), numbers(2, 2 * STATES, seed=3).requires_grad_()
    mix = numbers(2, length, 2 * STATES, seed=4)
    found = torch.autograd.grad(ways[way](modes_of(a), v, x), [a, v, x], mix)
    for gradient, wanted in zip(found, torch.autograd.grad(loop(a, v, x), [a, v, x], mix), strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("way", ["scan", "conv"])
def test_slow_modes_keep_their_digits_in_float32(way: str) -> None:
    """A memory of 2000 steps over 4096: each of three levels of chunks has a power that was squared in float64."""
    a = torch.polar(torch.full((STATES,), 0.9995).double(), torch.tensor([0.0, 0.3, 3.0]).double())
    v, x = numbers(1, 4096, 2 * STATES), torch.zeros(1, 2 * STATES).double()
    found = ways[way](steady(a, torch.float32), v.float(), x.float())
    wanted = recur(steady(a), v, x)
    assert (found.double() - wanted).abs().max() < 2e-6 * wanted.abs().max()


def test_modes_that_die_out_leave_no_denormal_numbers() -> None:
    """They would make a CPU ten times slower; the chunks' own powers end in exact zeros."""
    modes = steady(torch.polar(torch.full((STATES,), 0.1).double(), torch.zeros(STATES).double()), torch.float32)
    for power in modes.orbit(400), modes.chunks()[2].step.same:
        assert not ((power != 0) & (power.abs() < torch.finfo(torch.float32).tiny)).any()
