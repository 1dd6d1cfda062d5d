"""The native kernel of two short filters, and of one that an activation ends, against torch's in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smrdsl.kernels import native_pair
from smrdsl.kernels.native_calls import kernel
from smrdsl.kernels.native_taps import ACTS, GATES, ShortFilter, composed
from tests.native.kernels import at_level, close, needs_library

pytestmark = needs_library
End = tuple[str | None, str | None]
ENDS: list[End] = [(None, None), *((gate, None) for gate in GATES), *((None, act) for act in ACTS)]
"""The gate, and the activation."""
NAMES = ("x", "taps", "bias", "next_taps", "next_bias")
Given = dict[str, Tensor | None]


def parts(shape: tuple[int, int, int], taps: tuple[int, int], seed: int = 0) -> Given:
    g, width = torch.Generator().manual_seed(seed), shape[2]
    shapes = (shape, (width, taps[0]), (width,), (width, taps[1]), (width,))
    return {name: torch.randn(*s, generator=g) for name, s in zip(NAMES, shapes, strict=True)}


def results(own: Given, ends: tuple[End, End], learned: Any, native: bool) -> list[Tensor]:
    """The outputs, and the gradients of what is learned."""
    mine: Any = {k: None if p is None else p.detach().requires_grad_(k in learned) for k, p in own.items()}
    first = ShortFilter(mine["taps"], mine["bias"], *ends[0])
    second = ShortFilter(mine["next_taps"], mine["next_bias"], *ends[1])
    if native:
        y = native_pair.run(first, second, mine["x"])
    else:
        y = native_pair.composed(*mine.values(), gates=(first.number, second.number))
    wanted = [p for p in mine.values() if p is not None and p.requires_grad]
    if not wanted:
        return [y]
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(7)).to(y.dtype)
    return [y, *torch.autograd.grad((y * dy).sum(), wanted, allow_unused=True, materialize_grads=True)]


def check(own: Given, ends: tuple[End, End], learned: Any = NAMES, tolerance: float = 2e-5) -> None:
    wide = {k: None if p is None else p.double() for k, p in own.items()}
    for found, wanted in zip(results(own, ends, learned, True), results(wide, ends, learned, False), strict=True):
        assert found.shape == wanted.shape
        if wanted.numel():
            close(found, wanted, tolerance)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(0, 70), st.integers(1, 37)),
    taps=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    ends=st.tuples(st.sampled_from(ENDS), st.sampled_from(ENDS)),
    absent=st.sets(st.sampled_from(["bias", "next_bias"])),
    learned=st.sets(st.sampled_from(NAMES)),
    seed=st.integers(0, 99),
)
def test_it_is_one_filter_behind_the_other(
    shape: tuple[int, int, int], taps: tuple[int, int], ends: Any, absent: set[str], learned: set[str], seed: int
) -> None:
    check(parts(shape, taps, seed) | dict.fromkeys(absent), ends, learned, 1e-4)


@pytest.mark.parametrize("length", [1, 2, 7, 15, 16, 17, 23, 32, 33])
def test_lengths_about_a_span(length: int) -> None:
    for taps in ((1, 1), (4, 4), (8, 8), (2, 8)):
        check(parts((2, length, 17), taps), ((None, "silu"), ("sigmoid2", None)))


@pytest.mark.parametrize("level", ["generic", "avx2", "avx512"])
def test_every_level_is_the_same(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = at_level(level, monkeypatch)
    monkeypatch.setattr(native_pair, "FORWARD", kernel("pair_forward", 7, 6, library))
    monkeypatch.setattr(native_pair, "BACKWARD", kernel("pair_backward", 7, 11, library))
    for end in ENDS:
        check(parts((2, 40, 37), (4, 3)), ((None, "silu"), end))


@pytest.mark.parametrize("act", ACTS)
def test_a_filter_may_end_with_an_activation(act: str) -> None:
    own = parts((2, 40, 19), (4, 1))
    x, taps, bias = (own[k].requires_grad_() for k in NAMES[:3])  # type: ignore[union-attr]
    wide = [p.detach().double().requires_grad_() for p in (x, taps, bias)]
    one = ShortFilter(taps, bias, act=act)
    found, wanted = one.run(x, None), composed(wide[0], None, *wide[1:], number=one.number)
    close(found, wanted)
    for mine, theirs in zip(
        torch.autograd.grad(found.sin().sum(), (x, taps, bias)),
        torch.autograd.grad(wanted.sin().sum(), wide),
        strict=True,
    ):
        close(mine, theirs, 2e-5)


def test_sums_do_not_depend_on_the_threads() -> None:
    own, before, found = parts((2, 60, 100), (4, 4)), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(results(own, ((None, "silu"), ("sigmoid2", None)), NAMES, True))
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(p, q) for p, q in zip(found[0], others, strict=True))


def test_what_is_not_finite_stays_in_its_channel_and_window() -> None:
    own = parts((3, 60, 18), (4, 3))
    bad = own | {"x": own["x"].clone()}  # type: ignore[union-attr]
    bad["x"][1, 30, 5] = torch.nan  # type: ignore[index]
    clean, dirty = (results(p, ((None, "silu"), ("tanh1", None)), ["x"], True) for p in (own, bad))
    reached = torch.zeros(3, 60, 18, dtype=torch.bool)
    reached[1, 30:36, 5] = True
    assert torch.equal(clean[0][~reached], dirty[0][~reached])
    assert dirty[0][1, 30, 5].isnan()
    reached[1, 24:42, 5] = True
    assert torch.equal(clean[1][~reached], dirty[1][~reached])


def test_the_operators_keep_torchs_promises_and_have_second_derivatives() -> None:
    mine = [p.requires_grad_() for p in parts((2, 20, 5), (3, 2)).values() if p is not None]
    tests = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(torch.ops.smrdsl.filter_pair, (*mine, 7, 1), test_utils=tests)

    def second(own: list[Tensor], native: bool) -> list[Tensor]:
        run = torch.ops.smrdsl.filter_pair if native else lambda *a: native_pair.composed(*a[:5], gates=a[5:])
        first = torch.autograd.grad(run(*own, 7, 1).sin().sum(), own, create_graph=True)
        return list(torch.autograd.grad(sum(g.square().sum() for g in first), own))  # type: ignore[arg-type]

    wide = [p.detach().double().requires_grad_() for p in mine]
    for found, wanted in zip(second(mine, True), second(wide, False), strict=True):
        close(found, wanted, 1e-4)


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_kernel_is_never_told_a_wrong_shape(name: str) -> None:
    own = parts((2, 9, 5), (3, 4))
    with pytest.raises(ValueError, match="belongs"):
        results(own | {name: own[name][:1]}, (ENDS[0], ENDS[1]), (), True)  # type: ignore[index]
