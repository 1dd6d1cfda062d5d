"""The native recurrence of systems with one input and output per channel, against the loop in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smrdsl.kernels import native_bank as kernels
from smrdsl.kernels.native_bank import NativeBank, native_bank
from smrdsl.kernels.native_calls import kernel
from tests.kernels.systems import KINDS, system
from tests.native.kernels import at_level, close, needs_library

pytestmark = needs_library
NAMES = ("u", "x", "a", "b", "c", "d", "left", "right")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def a_bank(kind: str, channels: int, states: int, from_zero: bool = False, rank: int = 1) -> NativeBank:
    """A stable system; `b` has a part even where there is no state to start from."""
    bank = native_bank(system(kind, channels, states, dtype=torch.float32), from_zero)
    assert bank is not None
    if rank == 2:
        left, right = (torch.cat([p, 0.1 * p.flip(2)], 1) for p in (bank.left, bank.right) if p is not None)
        bank = NativeBank(bank.a, bank.b, bank.c, bank.d, left, right, 2)
    return bank


def loop(bank: NativeBank, u: Tensor, x: Tensor, parts: list[Tensor | None]) -> tuple[Tensor, Tensor]:
    """The definition, of parts in float64."""
    a, b, c, d, left, right = parts
    assert a is not None
    assert c is not None
    half, outputs = a.shape[1] // 2, []
    for t in range(u.shape[1]):
        if left is None and bank.kind == 0:
            moved = a * x
        else:
            re, im = x[..., :half], x[..., half:]
            moved = torch.cat([a[:, :half] * re - a[:, half:] * im, a[:, half:] * re + a[:, :half] * im], -1)
        if left is not None and right is not None:
            moved = moved - torch.einsum("hrn,hrm,bhm->bhn", left, right, x)
        driven = torch.ones_like(a) if b is None else b
        if b is None and bank.kind != 0:
            driven[:, half:] = 0
        x = moved + driven * u[:, t, :, None]
        outputs.append((x * c).sum(-1) + (0 if d is None else d * u[:, t]))
    return torch.stack(outputs, 1), x


def check(bank: NativeBank, u: Tensor, x: Tensor | None, wanted: list[str], seed: int = 0) -> None:
    """Outputs, state and the gradients of what is `wanted`, against the loop."""
    own = {"u": u, "x": x, "a": bank.a, "b": bank.b, "c": bank.c, "d": bank.d, "left": bank.left, "right": bank.right}
    mine = {k: None if t is None else t.detach().clone().requires_grad_(k in wanted) for k, t in own.items()}
    if not u.is_contiguous():
        mine["u"] = u.detach().requires_grad_("u" in wanted)
    wide = {k: None if t is None else t.detach().double().requires_grad_(k in wanted) for k, t in mine.items()}
    start = torch.zeros(u.shape[0], *bank.a.shape, dtype=torch.float64) if wide["x"] is None else wide["x"]
    y, after = NativeBank(*(mine[k] for k in NAMES[2:]), bank.kind).run(mine["u"], mine["x"])  # type: ignore[arg-type]
    expected = loop(bank, wide["u"], start, [wide[k] for k in NAMES[2:]])  # type: ignore[arg-type]
    close(y, expected[0])
    close(after, expected[1])
    learned = [k for k in NAMES if k in wanted and mine[k] is not None]
    if not learned:
        return
    dy, dafter = normal(*y.shape, seed=seed + 1), normal(*after.shape, seed=seed + 2)
    found = torch.autograd.grad((y * dy).sum() + (after * dafter).sum(), [mine[k] for k in learned])  # type: ignore
    sums = (expected[0] * dy).sum() + (expected[1] * dafter).sum()
    for g, w in zip(found, torch.autograd.grad(sums, [wide[k] for k in learned]), strict=True):  # type: ignore
        close(g, w)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(["diagonal", "real", "low rank", "rank 2"]),
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 80), st.integers(1, 37), st.integers(1, 9)),
    from_zero=st.booleans(),
    wanted=st.lists(st.sampled_from(NAMES), unique=True),
    seed=st.integers(0, 99),
)
def test_it_is_the_recurrence(
    kind: str, sizes: tuple[int, int, int, int], from_zero: bool, wanted: list[str], seed: int
) -> None:
    batch, length, channels, pairs = sizes
    rank = 2 if kind == "rank 2" else 1
    bank = a_bank("low rank" if rank == 2 else kind, channels, 2 * pairs, from_zero, rank)
    x = None if from_zero else normal(batch, channels, 2 * pairs, seed=seed)
    check(bank, normal(batch, length, channels, seed=seed), x, wanted, seed)


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("length", [1, 16, 17, 63, 64, 65, 128])
def test_lengths_about_a_tile(kind: str, length: int) -> None:
    check(a_bank(kind, 17, 6), normal(2, length, 17), normal(2, 17, 6), list(NAMES))


@pytest.mark.parametrize("level", ["generic", "avx2", "avx512"])
@pytest.mark.parametrize("kind", KINDS[:3])
def test_every_level_is_the_same(kind: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = at_level(level, monkeypatch)
    for name in ("diagonal", "low_rank"):
        monkeypatch.setitem(kernels.FORWARD, name, kernel(f"{name}_forward", 6, 11, library))
        monkeypatch.setitem(kernels.BACKWARD, name, kernel(f"{name}_backward", 6, 18, library))
    for channels, states in ((1, 2), (37, 22)):
        check(a_bank(kind, channels, states), normal(2, 70, channels), normal(2, channels, states), list(NAMES))
        check(a_bank(kind, channels, states, True), normal(2, 70, channels), None, list(NAMES))


@pytest.mark.parametrize("kind", KINDS[:3])
def test_inputs_may_lie_anyhow(kind: str) -> None:
    turned = normal(2, 19, 70).transpose(1, 2)
    check(a_bank(kind, 19, 4), turned, normal(19, 2, 4).transpose(0, 1), list(NAMES))
    check(a_bank(kind, 19, 4), normal(2, 140, 40)[:, ::2, 1:39:2], None, list(NAMES))


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("shape", [(0, 5, 7), (2, 0, 7)])
def test_nothing_gives_nothing(kind: str, shape: tuple[int, int, int]) -> None:
    bank = a_bank(kind, 7, 4)
    x = normal(shape[0], 7, 4)
    bank.c.requires_grad_()
    y, after = bank.run(torch.zeros(shape), x)
    assert y.shape == shape
    assert torch.equal(after, x)
    y.sum().backward()
    assert torch.equal(bank.c.grad, torch.zeros_like(bank.c))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS[:3])
def test_a_chunk_after_the_other_is_the_whole(kind: str) -> None:
    bank, u, x = a_bank(kind, 18, 6), normal(3, 150, 18), normal(3, 18, 6)
    whole, last = bank.run(u, x)
    outputs = []
    for chunk in u.split([1, 64, 5, 80], 1):
        y, x = bank.run(chunk, x)
        outputs.append(y)
    close(torch.cat(outputs, 1), whole)
    close(x, last)


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("length", [1, 64, 130])
def test_backwards_is_the_same_in_a_mirror(kind: str, length: int) -> None:
    bank, u = a_bank(kind, 18, 6), normal(2, length, 18).requires_grad_()
    parts = [u, *(p.requires_grad_() for p in (bank.a, bank.c))]
    y, mirrored = bank.run(u, None, backwards=True)[0], bank.run(u.flip(1), None)[0].flip(1)
    assert torch.equal(y, mirrored)
    g = normal(*y.shape, seed=3)
    for p, q in zip(torch.autograd.grad(y, parts, g), torch.autograd.grad(mirrored, parts, g), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_what_is_not_a_number_stays_in_its_channel_and_sequence(kind: str, poison: float) -> None:
    bank, u = a_bank(kind, 18, 6), normal(3, 100, 18)
    bad = u.clone()
    bad[1, 70, 5] = poison
    clean, dirty = bank.run(u, None)[0], bank.run(bad, None)[0]
    reached = torch.zeros_like(u, dtype=torch.bool)
    reached[1, 70:, 5] = True
    assert torch.equal(clean[~reached], dirty[~reached])
    assert not dirty[1, 70, 5].isfinite()
    assert dirty[1, 70:, 5].isnan().any() or not dirty[1, 71:, 5].isfinite().all()


@pytest.mark.parametrize("kind", KINDS[:3])
def test_sums_do_not_depend_on_the_threads(kind: str) -> None:
    bank, before = a_bank(kind, 50, 6), torch.get_num_threads()
    u, found = normal(2, 130, 50).requires_grad_(), []
    parts = [p.requires_grad_() for p in (bank.a, bank.b, bank.c, bank.d) if p is not None]
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            y, after = bank.run(u, None)
            found.append([y, after, *torch.autograd.grad(y.square().sum(), [u, *parts])])
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(p, q) for p, q in zip(found[0], others, strict=True))


@pytest.mark.parametrize("kind", KINDS[:3])
def test_states_that_die_out_end_in_zeros(kind: str) -> None:
    """And not in denormal numbers, with which a CPU is slow."""
    u = torch.zeros(1, 3000, 16)
    u[:, 0] = 1
    y = a_bank(kind, 16, 4).run(u, None)[0]
    assert (y[:, -1] == 0).any()
    assert y[y != 0].abs().min() >= torch.finfo(torch.float32).tiny


def test_a_second_derivative_is_refused_with_a_way_out() -> None:
    bank, u = a_bank("diagonal", 3, 2), normal(1, 5, 3).requires_grad_()
    bank.c.requires_grad_()
    (first,) = torch.autograd.grad(bank.run(u, None)[0].square().sum(), u, create_graph=True)
    with pytest.raises(NotImplementedError, match="choose another strategy"):
        first.sum().backward()


@pytest.mark.parametrize("kind", KINDS[:3])
def test_torch_finds_nothing_wrong_with_the_operator(kind: str) -> None:
    bank = a_bank(kind, 5, 4)
    parts = [None if p is None else p.clone().requires_grad_() for p in (bank.a, bank.b, bank.c, bank.d)]
    sides = [None if p is None else p.clone().requires_grad_() for p in (bank.left, bank.right)]
    inputs = (normal(2, 66, 5).requires_grad_(), normal(2, 5, 4), *parts, *sides, bank.kind, True, True)
    found = torch.library.opcheck(torch.ops.smrdsl.bank.default, inputs)
    assert set(found.values()) == {"SUCCESS"}


@pytest.mark.parametrize("x", [normal(3, 5, 4), normal(2, 6, 4), normal(2, 5, 2)])
def test_a_state_of_another_shape_is_refused(x: Tensor) -> None:
    with pytest.raises(ValueError, match="belongs"):
        a_bank("diagonal", 5, 4).run(normal(2, 7, 5), x)
    with pytest.raises(ValueError, match="belongs"):
        a_bank("low rank", 5, 4).run(normal(2, 7, 6), None)


def test_other_transitions_are_left_to_torch() -> None:
    assert native_bank(system("dense", 3, 4, dtype=torch.float32), True) is None
