"""The native short convolution and its gates, against torch's in float64; the kernel of smr and of depthwise conv1d."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smrdsl.kernels import native_calls, native_taps
from smrdsl.kernels.native_calls import kernel
from smrdsl.kernels.native_taps import GATES, composed, convolve, last
from tests.native.kernels import at_level, close, needs_library

pytestmark = needs_library
KINDS = [None, *GATES]
NAMES = ("x", "before", "taps", "bias")
every_gate = pytest.mark.parametrize("gate", KINDS)


def parts(batch: int, length: int, channels: int, taps: int, seed: int = 0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    shapes = ((batch, length, channels), (batch, taps - 1, channels), (channels, taps), (channels,))
    return {name: torch.randn(*shape, generator=g) for name, shape in zip(NAMES, shapes, strict=True)}


def results(own: dict[str, Any], gate: str | None, learned: Any, native: bool) -> list[Tensor]:
    """The outputs, and the gradients of what is learned."""
    mine = [None if own[k] is None else own[k].detach().requires_grad_(k in learned) for k in NAMES]
    if native:
        y = convolve(*mine, gate)  # type: ignore[arg-type]
    else:
        y = composed(*mine, number=0 if gate is None else native_taps.NUMBERS[gate])  # type: ignore[arg-type]
    wanted = [p for p in mine if p is not None and p.requires_grad]
    if not wanted:
        return [y]
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(7)).to(y.dtype)
    return [y, *torch.autograd.grad((y * dy).sum(), wanted, allow_unused=True, materialize_grads=True)]


def check(own: dict[str, Any], gate: str | None, learned: Any = NAMES, tolerance: float = 2e-5) -> None:
    wide = {k: None if p is None else p.double() for k, p in own.items()}
    for found, wanted in zip(results(own, gate, learned, True), results(wide, gate, learned, False), strict=True):
        assert found.dtype == torch.float32
        assert found.shape == wanted.shape
        if wanted.numel():
            close(found, wanted, tolerance)


class Counted:
    """How often the kernel ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs, inner = 0, native_taps.FORWARD

        def counting(*arguments: Any) -> None:
            self.runs += 1
            inner(*arguments)

        monkeypatch.setattr(native_taps, "FORWARD", counting)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(0, 70), st.integers(1, 37), st.integers(1, 8)),
    gate=st.sampled_from(KINDS),
    absent=st.sets(st.sampled_from(["before", "bias"])),
    learned=st.sets(st.sampled_from(NAMES)),
    seed=st.integers(0, 99),
)
def test_it_is_torchs_convolution(
    sizes: tuple[int, int, int, int], gate: str | None, absent: set[str], learned: set[str], seed: int
) -> None:
    check({k: None if k in absent else p for k, p in parts(*sizes, seed=seed).items()}, gate, learned)


@every_gate
@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 32, 33])
def test_lengths_about_a_span(gate: str | None, length: int) -> None:
    for taps in (1, 4, 8):
        check(parts(2, length, 17, taps), gate)


@pytest.mark.parametrize("level", ["generic", "avx2", "avx512"])
def test_every_level_is_the_same(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = at_level(level, monkeypatch)
    monkeypatch.setattr(native_taps, "FORWARD", kernel("taps_forward", 5, 5, library))
    monkeypatch.setattr(native_taps, "BACKWARD", kernel("taps_backward", 5, 9, library))
    for gate in KINDS:
        check(parts(2, 40, 37, 4), gate)


@every_gate
def test_gates_are_exact_far_out_and_near_zero(gate: str | None) -> None:
    """Relative to each number, not to the largest: where a gate closes, its slope is small but not 0."""
    p = torch.cat([torch.linspace(-80, 80, 4001), torch.logspace(-30, 0, 400), -torch.logspace(-30, 0, 400)])
    x, one = torch.ones(1, 1, len(p)), torch.zeros(len(p), 1)
    own = {"x": x, "before": None, "taps": one, "bias": p}
    wide = {k: None if q is None else q.double() for k, q in own.items()}
    found, wanted = results(own, gate, ["bias"], True), results(wide, gate, ["bias"], False)
    # In float64 too 1 minus a number near 1 has lost some digits; silu has a place where its slope is 0.
    torch.testing.assert_close(found[0].double(), wanted[0], rtol=2e-6, atol=1e-15 if gate == "tanh1" else 1e-35)
    torch.testing.assert_close(found[1].double(), wanted[1], rtol=2e-6, atol=1e-8 if gate == "silu" else 1e-14)


@every_gate
@pytest.mark.parametrize("shape", [(0, 5, 7, 4), (2, 0, 7, 4)])
def test_nothing_gives_nothing(gate: str | None, shape: tuple[int, int, int, int]) -> None:
    y, *grads = results(parts(*shape), gate, NAMES, True)
    assert y.shape == shape[:3]
    assert not any(g.any() for g in grads)


def test_inputs_may_lie_anyhow() -> None:
    own = parts(2, 30, 19, 4)
    turned = {"x": own["x"].mT.contiguous().mT, "before": own["before"].flip(1), "taps": own["taps"].T.contiguous().T}
    check(own | turned, "silu")


@pytest.mark.parametrize("gate", ["sigmoid2", "tanh1", None])
def test_16384_samples_stay_exact(gate: str | None) -> None:
    check(parts(1, 16384, 3, 4), gate, tolerance=1e-4)


@every_gate
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_stays_in_its_channel_and_window(gate: str | None, poison: float) -> None:
    own = parts(3, 60, 18, 4)
    bad = own | {"x": own["x"].clone()}
    bad["x"][1, 40, 5] = poison
    clean, dirty = (results(p, gate, ["x"], True) for p in (own, bad))
    reached = torch.zeros_like(own["x"], dtype=torch.bool)
    reached[1, 40:44, 5] = True
    assert torch.equal(clean[0][~reached], dirty[0][~reached])
    reached[1, 37:47, 5] = True
    assert torch.equal(clean[1][~reached], dirty[1][~reached])
    if poison != poison:
        assert dirty[0][1, 40, 5].isnan()


@every_gate
def test_chunks_are_the_whole(gate: str | None) -> None:
    own, outputs = parts(2, 50, 9, 5), []
    whole, before = convolve(*own.values(), gate), own["before"]
    for chunk in own["x"].split([1, 0, 3, 20, 26], 1):
        outputs.append(convolve(chunk, before, own["taps"], own["bias"], gate))
        before = last(chunk, before)
    close(torch.cat(outputs, 1), whole)
    assert torch.equal(before, own["x"][:, -4:])


def test_sums_do_not_depend_on_the_threads() -> None:
    own, before, found = parts(2, 60, 100, 4), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(results(own, "silu", NAMES, True))
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(p, q) for p, q in zip(found[0], others, strict=True))


@pytest.mark.parametrize("gate", [None, "sigmoid2"])
def test_second_derivatives_are_torchs(gate: str | None) -> None:
    def second(own: dict[str, Tensor], native: bool) -> list[Tensor]:
        mine = [p.detach().requires_grad_() for p in own.values()]
        y = convolve(*mine, gate) if native else composed(*mine, number=int(gate is not None))
        first = torch.autograd.grad(y.sin().sum(), mine, create_graph=True)
        return list(torch.autograd.grad(sum(g.square().sum() for g in first), mine))  # type: ignore[arg-type]

    own = parts(2, 9, 5, 3)
    for found, wanted in zip(second(own, True), second({k: p.double() for k, p in own.items()}, False), strict=True):
        close(found, wanted, 1e-4)


def test_the_operators_keep_torchs_promises() -> None:
    given_ = [p.requires_grad_() for p in parts(2, 20, 5, 3).values()]
    tests = ("test_schema", "test_faketensor", "test_autograd_registration")
    for number in (0, 1):
        torch.library.opcheck(torch.ops.smrdsl.taps, (*given_, number), test_utils=tests)
        torch.library.opcheck(torch.ops.smrdsl.taps, (given_[0], None, given_[2], None, number), test_utils=tests)


@pytest.mark.parametrize("case", ["float64", "many taps", "no library", "torch.func"])
def test_what_the_kernel_cannot_do_is_left_to_torch(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own, seen = parts(2, 20, 6, 9 if case == "many taps" else 3), Counted(monkeypatch)
    if case == "float64":
        own = {k: p.double() for k, p in own.items()}
    if case == "no library":
        monkeypatch.setattr(native_calls, "THERE", False)
    if case == "torch.func":
        torch.func.grad(lambda x: convolve(x, None, own["taps"], None, "silu").sum())(own["x"])
    else:
        convolve(*own.values(), "silu")
    assert seen.runs == 0


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_kernel_is_never_told_a_wrong_shape(name: str) -> None:
    own = parts(2, 9, 5, 3)
    with pytest.raises(ValueError, match="belongs"):
        convolve(*(own | {name: own[name][:1]}).values())
