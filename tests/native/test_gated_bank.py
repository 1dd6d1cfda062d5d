"""The native kernel of a gate in front of a bank: the two, one behind the other, number for number."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smrdsl.kernels import native_gated_bank, native_taps
from smrdsl.kernels.native_bank import NativeBank
from smrdsl.kernels.native_calls import kernel
from smrdsl.kernels.native_gated_bank import gated
from smrdsl.kernels.native_taps import GATES, ShortFilter
from tests.native.kernels import at_level, close, needs_library
from tests.native.test_bank import a_bank, loop, normal
from tests.native.test_taps import parts

pytestmark = needs_library
FRONT = ("x", "before", "taps", "bias")
SYSTEM = ("a", "b", "c", "d", "left", "right")
NAMES = (*FRONT, "state", *SYSTEM)
KINDS = ("diagonal", "real", "low rank", "rank 2")
Given = dict[str, Tensor | None]


def some(
    kind: str, sizes: tuple[int, int, int, int], taps: int, *, from_zero: bool = False, seed: int = 0
) -> tuple[Given, int]:
    """All that goes in, and the kind of the bank: (batch, length, channels, states)."""
    batch, length, channels, states = sizes
    rank = 2 if kind == "rank 2" else 1
    bank = a_bank("low rank" if rank == 2 else kind, channels, states, from_zero, rank)
    own: Given = {**parts(batch, length, channels, taps, seed=seed)}
    own["state"] = None if from_zero else normal(batch, channels, states, seed=seed)
    return own | {name: getattr(bank, name) for name in SYSTEM}, bank.kind


def results(own: Given, kind: int, gate: str | None, learned: Any, way: str) -> list[Tensor]:
    """Outputs, the state after them and the gradients of what is learned: `fused`, `apart`, or by the `loop`."""
    mine: Any = {k: None if p is None else p.detach().requires_grad_(k in learned) for k, p in own.items()}
    bank = NativeBank(*(mine[k] for k in SYSTEM), kind)
    if way == "fused":
        front = ShortFilter(mine["taps"], mine["bias"], gate)
        y, after = gated(front, bank, mine["x"], mine["before"], mine["state"])
    elif way == "apart":
        y, after = bank.run(native_taps.convolve(*(mine[k] for k in FRONT), gate), mine["state"])
    else:
        v = native_taps.composed(*(mine[k] for k in FRONT), number=native_taps.NUMBERS.get(gate or "", 0))
        start = v.new_zeros(v.shape[0], *bank.a.shape) if mine["state"] is None else mine["state"]
        y, after = loop(bank, v, start, [mine[k] for k in SYSTEM])
    wanted = [p for p in mine.values() if p is not None and p.requires_grad]
    if not wanted:
        return [y, after]
    dy, dafter = normal(*y.shape, seed=7), normal(*after.shape, seed=8)
    total = (y * dy.to(y.dtype)).sum() + (after * dafter.to(y.dtype)).sum()
    return [y, after, *torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)]


def check(own: Given, kind: int, gate: str | None = "sigmoid2", learned: Any = NAMES, tolerance: float = 1e-5) -> None:
    """To the last bit what the two kernels give, forward; to rounding what the definition gives, both ways."""
    found = results(own, kind, gate, learned, "fused")
    for mine, theirs in zip(found[:2], results(own, kind, gate, learned, "apart")[:2], strict=True):
        assert torch.equal(mine, theirs)
    wide = {k: None if p is None else p.double() for k, p in own.items()}
    for mine, wanted in zip(found, results(wide, kind, gate, learned, "loop"), strict=True):
        assert mine.shape == wanted.shape
        if wanted.numel():
            close(mine, wanted, tolerance)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(KINDS),
    sizes=st.tuples(st.integers(1, 3), st.integers(2, 80), st.integers(1, 37), st.integers(1, 5)),
    taps=st.integers(1, 8),
    gate=st.sampled_from([None, *GATES]),
    absent=st.sets(st.sampled_from(["before", "bias", "d"])),
    from_zero=st.booleans(),
    learned=st.sets(st.sampled_from(NAMES)),
    seed=st.integers(0, 99),
)
def test_it_is_the_gate_and_then_the_bank(
    kind: str,
    sizes: tuple[int, int, int, int],
    taps: int,
    gate: str | None,
    absent: set[str],
    from_zero: bool,
    learned: set[str],
    seed: int,
) -> None:
    own, number = some(kind, (*sizes[:3], 2 * sizes[3]), taps, from_zero=from_zero, seed=seed)
    check(own | dict.fromkeys(absent), number, gate, learned, 2e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [1, 2, 3, 63, 64, 65, 66, 128, 129])
def test_lengths_about_a_tile(kind: str, length: int) -> None:
    for taps in (1, 4, 8):
        check(*some(kind, (2, length, 17, 6), taps), tolerance=2e-5)


@pytest.mark.parametrize("level", ["generic", "avx2", "avx512"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_level_is_the_same(kind: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = at_level(level, monkeypatch)
    for name in ("diagonal", "low_rank"):
        monkeypatch.setitem(native_gated_bank.FORWARD, name, kernel(f"gated_{name}_forward", 7, 14, library))
        monkeypatch.setitem(native_gated_bank.BACKWARD, name, kernel(f"gated_{name}_backward", 7, 24, library))
    for gate in ("sigmoid2", "tanh", "silu"):
        own, number = some(kind, (2, 70, 37, 6), 4)
        wide = {k: None if p is None else p.double() for k, p in own.items()}
        pairs = zip(results(own, number, gate, NAMES, "fused"), results(wide, number, gate, NAMES, "loop"), strict=True)
        for found, wanted in pairs:
            close(found, wanted, 2e-5)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(0, 90), max_size=5), taps=st.integers(1, 8))
def test_chunks_are_the_whole(kind: str, cuts: list[int], taps: int) -> None:
    own, number = some(kind, (2, 90, 9, 6), taps)
    front, bank = ShortFilter(own["taps"], own["bias"], "tanh1"), NativeBank(*(own[k] for k in SYSTEM), number)  # type: ignore
    u, before, state = own["x"], own["before"], own["state"]
    assert u is not None
    assert before is not None
    whole, last = gated(front, bank, u, before, state)
    outputs, edges = [], [0, *sorted(cuts), 90]
    for chunk in u.split([b - a for a, b in pairwise(edges)], 1):
        y, state = gated(front, bank, chunk, before, state)
        before = native_taps.last(chunk, before)
        outputs.append(y)
    close(torch.cat(outputs, 1), whole)
    close(state, last)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(0, 5), (2, 0)])
def test_nothing_gives_nothing(shape: tuple[int, int]) -> None:
    own, number = some("diagonal", (*shape, 7, 4), 4)
    y, after, *grads = results(own, number, "silu", NAMES, "fused")
    assert y.shape == (*shape, 7)
    assert torch.equal(after, own["state"])  # type: ignore[arg-type]
    assert not any(g.any() for g in grads if g.shape != after.shape)


def test_inputs_may_lie_anyhow() -> None:
    own, number = some("diagonal", (2, 70, 19, 4), 4)
    turned = {"x": normal(2, 19, 70).mT, "before": normal(2, 19, 3).mT, "state": normal(19, 2, 4).transpose(0, 1)}
    check(own | turned, number)


def test_16384_samples_stay_exact() -> None:
    own, number = some("diagonal", (1, 16384, 3, 4), 4, from_zero=True)
    found, wanted = (results(own, number, "sigmoid2", NAMES, way) for way in ("fused", "apart"))
    for mine, theirs in zip(found, wanted, strict=True):
        close(mine, theirs)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_channel_and_sequence(poison: float) -> None:
    own, number = some("real", (3, 80, 18, 4), 4)
    x = own["x"]
    assert x is not None
    bad = x.clone()
    bad[1, 40, 5] = poison
    clean, dirty = (results(own | {"x": v}, number, "sigmoid2", ["x"], "fused") for v in (x, bad))
    reached = torch.zeros_like(x, dtype=torch.bool)
    reached[1, 40:, 5] = True
    assert torch.equal(clean[0][~reached], dirty[0][~reached])
    reached[1, :, 5] = True
    assert torch.equal(clean[2][~reached], dirty[2][~reached])
    assert not dirty[0][1, 40, 5].isfinite()


def test_sums_do_not_depend_on_the_threads() -> None:
    before, found = torch.get_num_threads(), []
    own, number = some("diagonal", (2, 100, 100, 6), 4)
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(results(own, number, "silu", NAMES, "fused"))
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(p, q) for p, q in zip(found[0], others, strict=True))


def test_the_operators_keep_torchs_promises() -> None:
    tests = ("test_schema", "test_faketensor", "test_autograd_registration")
    for kind in ("diagonal", "low rank"):
        own, number = some(kind, (2, 20, 5, 4), 3)
        mine = [None if own[k] is None else own[k].requires_grad_() for k in NAMES]  # type: ignore[union-attr]
        torch.library.opcheck(torch.ops.smrdsl.gated_bank, (*mine, 1, number, True), test_utils=tests)


def test_gradients_that_nobody_foresaw() -> None:
    """What `keep` would have kept is made again."""
    own, number = some("diagonal", (2, 70, 5, 4), 3)
    mine = [None if own[k] is None else own[k].requires_grad_() for k in NAMES]  # type: ignore[union-attr]
    learned = [p for p in mine if p is not None]
    found, wanted = (
        torch.autograd.grad(torch.ops.smrdsl.gated_bank(*mine, 1, number, keep)[0].sum(), learned, allow_unused=True)
        for keep in (False, True)
    )
    for p, q in zip(found, wanted, strict=True):
        assert torch.equal(p, q)


def test_gradients_can_be_part_of_a_graph() -> None:
    """They are those of the two operators then; of a bank's there are no further ones."""
    own, number = some("diagonal", (2, 20, 5, 4), 3)
    learned: Any = {k: None if p is None else p.requires_grad_() for k, p in own.items()}
    front, bank = (
        ShortFilter(learned["taps"], learned["bias"], "silu"),
        NativeBank(*(learned[k] for k in SYSTEM), number),
    )
    y, _ = gated(front, bank, learned["x"], learned["before"], learned["state"])
    (again,) = torch.autograd.grad(y.sin().sum(), learned["x"], create_graph=True)
    close(again, results_of_sine(own, number))
    with pytest.raises(NotImplementedError, match="second derivatives"):
        torch.autograd.grad(again.sum(), learned["a"])


def results_of_sine(own: Given, kind: int) -> Tensor:
    """The gradient of x for a sum of sines."""
    mine: Any = {k: None if p is None else p.detach().requires_grad_() for k, p in own.items()}
    bank = NativeBank(*(mine[k] for k in SYSTEM), kind)
    y, _ = gated(ShortFilter(mine["taps"], mine["bias"], "silu"), bank, mine["x"], mine["before"], mine["state"])
    return torch.autograd.grad(y.sin().sum(), mine["x"])[0]


@pytest.mark.parametrize("name", NAMES[1:9])
def test_a_kernel_is_never_told_a_wrong_shape(name: str) -> None:
    own, number = some("diagonal", (2, 9, 5, 4), 3)
    if own[name] is None:
        pytest.skip("there is none")
    with pytest.raises(ValueError, match="belongs"):
        results(own | {name: own[name][:1]}, number, "silu", (), "fused")  # type: ignore[index]
