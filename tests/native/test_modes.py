"""The native recurrence of modes, steady and varying, against the loop in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smrdsl.kernels import native_modes as kernels
from smrdsl.kernels.modes import Steady, Varying, recur, recur_natively
from smrdsl.kernels.native_calls import kernel
from smrdsl.kernels.native_modes import modes_forward
from smrdsl.kernels.powers import Powers
from smrdsl.kernels.transition import Diagonal
from tests.native.kernels import at_level, close, needs_library

pytestmark = needs_library


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def modes(re: Tensor, im: Tensor) -> Steady | Varying:
    a = Diagonal.of((re, im))
    return Varying(a) if re.dim() == 3 else Steady(Powers(a), a)


def check(varying: bool, batch: int, length: int, count: int, seed: int = 0) -> None:
    shape = (batch, length, count) if varying else (count,)
    wide = [
        normal(batch, length, 2 * count, seed=seed),
        normal(batch, 2 * count, seed=seed + 1),
        0.7 * normal(*shape, seed=seed + 2).tanh(),
        0.7 * normal(*shape, seed=seed + 3).tanh(),
    ]
    wide = [p.requires_grad_() for p in wide]
    mine = [p.detach().float().requires_grad_() for p in wide]
    wanted, found = recur(modes(*wide[2:]), *wide[:2]), recur_natively(modes(*mine[2:]), *mine[:2])
    close(found, wanted)
    g = normal(*wanted.shape, seed=seed + 4)
    pairs = zip(torch.autograd.grad(found, mine, g.float()), torch.autograd.grad(wanted, wide, g), strict=True)
    for p, q in pairs:
        close(p, q)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    varying=st.booleans(), batch=st.integers(1, 3), length=st.integers(1, 150), count=st.integers(1, 90),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_it_is_the_recurrence(varying: bool, batch: int, length: int, count: int, seed: int) -> None:
    check(varying, batch, length, count, seed)


@pytest.mark.parametrize("level", ["generic", "avx2", "avx512"])
@pytest.mark.parametrize("varying", [False, True])
def test_every_level_is_the_same(varying: bool, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = at_level(level, monkeypatch)
    monkeypatch.setattr(kernels, "FORWARD", kernel("modes_forward", 5, 5, library))
    monkeypatch.setattr(kernels, "BACKWARD", kernel("modes_backward", 5, 9, library))
    for count in (1, 16, 100):
        check(varying, 2, 70, count)


def test_inputs_may_lie_anyhow() -> None:
    v, x = normal(2, 12, 30).float().transpose(1, 2), normal(12, 2).float().t()
    re, im = 0.5 * normal(2, 6, 30).float().transpose(1, 2).tanh(), 0.5 * normal(2, 30, 12).float()[..., ::2].tanh()
    found = modes_forward(v, x, re, im)
    close(found, recur(modes(re.double(), im.double()), v.double(), x.double()))


def test_what_is_not_a_number_stays_in_its_mode_and_sequence() -> None:
    v, x, a = normal(2, 40, 40).float(), torch.zeros(2, 40), 0.5 * torch.ones(20)
    bad = v.clone()
    bad[1, 9, 3] = float("nan")
    clean, dirty = modes_forward(v, x, a, a), modes_forward(bad, x, a, a)
    reached = torch.zeros_like(v, dtype=torch.bool)
    reached[1, 9:, [3, 23]] = True
    assert torch.equal(clean[~reached], dirty[~reached])
    assert dirty[1, 9:, 3].isnan().all()


def test_shapes_that_do_not_fit_are_refused() -> None:
    v, a = torch.zeros(2, 5, 6), torch.zeros(3)
    for x, re in ((torch.zeros(1, 6), a), (torch.zeros(2, 4), a), (torch.zeros(2, 6), torch.zeros(4))):
        with pytest.raises(ValueError, match="belongs"):
            modes_forward(v, x, re, re)


def test_sums_do_not_depend_on_the_threads() -> None:
    before, found = torch.get_num_threads(), []
    inputs = [normal(2, 70, 200).float(), normal(2, 200).float(), *(0.5 * normal(2, 100).float().tanh())]
    inputs = [p.requires_grad_() for p in inputs]
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            x = modes_forward(*inputs)
            found.append([x, *torch.autograd.grad(x.square().sum(), inputs)])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(p, q) for p, q in zip(*found, strict=True))


@pytest.mark.parametrize("varying", [False, True])
def test_torch_finds_nothing_wrong_with_the_operator(varying: bool) -> None:
    shape = (2, 9, 3) if varying else (3,)
    inputs = [normal(2, 9, 6), normal(2, 6), *(0.5 * normal(2, *shape).tanh())]
    found = torch.library.opcheck(torch.ops.smrdsl.modes.default, [p.float().requires_grad_() for p in inputs])
    assert set(found.values()) == {"SUCCESS"}


def test_a_second_derivative_is_refused_with_a_way_out() -> None:
    v, a = normal(1, 4, 2).float().requires_grad_(), torch.full((1,), 0.5)
    (first,) = torch.autograd.grad(modes_forward(v, torch.zeros(1, 2), a, a).square().sum(), v, create_graph=True)
    with pytest.raises(NotImplementedError, match="choose another strategy"):
        first.sum().backward()
