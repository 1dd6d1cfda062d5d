"""The native selective scan, with its steps and its skip, against the loop in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smrdsl.kernels import native_selective, selective
from smrdsl.kernels.native_calls import kernel
from smrdsl.kernels.native_selective import composed, run
from tests.native.kernels import at_level, close, needs_library

pytestmark = needs_library
NAMES = ("x", "delta", "bias", "gaps", "A", "b", "c", "d", "h")
LEARNED = tuple(name for name in NAMES if name != "gaps")


def parts(batch: int, length: int, channels: int, states: int, seed: int = 0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g)

    stream, rows = (batch, length, channels), (batch, length, states)
    return {
        "x": normal(*stream),
        "delta": normal(*stream),
        "bias": normal(channels) - 1,
        "gaps": normal(batch, length).abs(),
        "A": -torch.exp(normal(channels, states)),
        "b": normal(*rows),
        "c": normal(*rows),
        "d": normal(channels),
        "h": normal(batch, channels, states),
    }


def results(own: dict[str, Tensor | None], decay: bool, learned: tuple[str, ...], native: bool) -> list[Tensor]:
    """The outputs, the state and the gradients of what is learned."""
    mine = [None if own[k] is None else own[k].detach().requires_grad_(k in learned) for k in NAMES]  # type: ignore[union-attr]
    y, h = run(tuple(mine), decay) if native else composed(*mine, decay=decay)  # type: ignore[arg-type]
    wanted = [p for p in mine if p is not None and p.requires_grad]
    if not wanted:
        return [y, h]
    g = torch.Generator().manual_seed(7)
    dy, dh = (torch.randn(p.shape, generator=g).to(p.dtype) for p in (y, h))
    total = (y * dy).sum() + (h * dh).sum()
    return [y, h, *torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)]


def check(
    own: dict[str, Any], decay: bool = False, learned: tuple[str, ...] = LEARNED, tolerance: float = 2e-5
) -> None:
    wide = {k: None if p is None else p.double() for k, p in own.items()}
    for found, wanted in zip(results(own, decay, learned, True), results(wide, decay, learned, False), strict=True):
        assert found.dtype == torch.float32
        if wanted.numel():
            close(found, wanted, tolerance)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 140), st.integers(1, 37), st.integers(1, 18)),
    absent=st.sets(st.sampled_from(["gaps", "d"])),
    decay=st.booleans(),
    learned=st.sets(st.sampled_from(LEARNED)),
    seed=st.integers(0, 99),
)
def test_it_is_the_recurrence(
    sizes: tuple[int, int, int, int], absent: set[str], decay: bool, learned: set[str], seed: int
) -> None:
    own = {k: None if k in absent else p for k, p in parts(*sizes, seed=seed).items()}
    check(own, decay, tuple(k for k in LEARNED if k in learned))


@pytest.mark.parametrize("length", [1, 16, 17, 63, 64, 65, 128])
@pytest.mark.parametrize("states", [1, 7, 16])
def test_lengths_about_a_tile(length: int, states: int) -> None:
    check(parts(2, length, 17, states))


def test_channels_beyond_a_share() -> None:
    """Whose gradients of b and c are summed apart."""
    check(parts(2, 70, 300, 3))


@pytest.mark.parametrize("level", ["generic", "avx2", "avx512"])
def test_every_level_is_the_same(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = at_level(level, monkeypatch)
    monkeypatch.setattr(native_selective, "FORWARD", kernel("selective_forward", 5, 12, library))
    monkeypatch.setattr(native_selective, "BACKWARD", kernel("selective_backward", 5, 19, library))
    for sizes in ((1, 3, 2, 1), (2, 70, 37, 11), (1, 20, 150, 2)):
        for decay in (False, True):
            check(parts(*sizes), decay)


def test_inputs_may_lie_anyhow() -> None:
    own = parts(2, 70, 19, 4)
    x = torch.randn(2, 19, 70).transpose(1, 2)
    both = torch.randn(2, 140, 20)[:, ::2]
    check(
        own
        | {
            "x": x,
            "b": both[..., 3:7],
            "c": both[..., 8:16:2],
            "A": -torch.rand(4, 19).T,
            "gaps": own["x"][..., 0].abs(),
        }
    )


@pytest.mark.parametrize("shape", [(0, 5, 7, 4), (2, 0, 7, 4)])
def test_nothing_gives_nothing(shape: tuple[int, int, int, int]) -> None:
    own = parts(*shape)
    y, h, *grads = results(own, False, LEARNED, True)  # type: ignore[arg-type]
    assert y.shape == shape[:3]
    assert torch.equal(h, own["h"])
    assert not any(g.any() for g in grads[:-1])


@pytest.mark.parametrize("slow", [False, True])
def test_16384_samples_stay_exact(slow: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where steps are so small that the whole past is remembered; against the scan, since a loop takes long."""
    monkeypatch.setattr(selective, "recur", selective.scan)
    own = parts(1, 16384, 3, 4)
    check(own | {"gaps": None, "bias": own["bias"] - (9 if slow else 0)}, tolerance=1e-4)


@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_steps_of_all_sizes(spread: float) -> None:
    """From those that vanish to those that leave no state."""
    own = parts(2, 50, 16, 4)
    check(own | {"delta": own["delta"] * spread}, tolerance=2e-5)


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["x", "delta", "b", "c", "gaps"])
def test_what_is_not_finite_stays_in_its_sequence_and_after_its_time(name: str, poison: float) -> None:
    own = parts(3, 100, 18, 5)
    bad = own | {name: own[name].clone()}
    bad[name][1, 70, ...] = poison
    clean, dirty = results(own, False, LEARNED, True), results(bad, False, LEARNED, True)  # type: ignore[arg-type]
    for k in (0, 2, 3):  # y, and the gradients of x and delta
        assert torch.equal(clean[k][::2], dirty[k][::2])
    assert torch.equal(clean[0][1, :70], dirty[0][1, :70])
    if poison != poison:
        assert dirty[0][1, 70].isnan().any()


def test_an_endless_gap_forgets_all() -> None:
    own: dict[str, Any] = parts(2, 8, 20, 2)
    own["gaps"][:, 4] = float("inf")
    y, h = run(tuple(own[k] for k in NAMES), True)
    own = own | {k: own[k][:, 4:] for k in ("x", "delta", "gaps", "b", "c")} | {"h": torch.zeros_like(h)}
    later = run(tuple(own[k] for k in NAMES), True)
    assert torch.equal(y[:, 4:], later[0])
    assert torch.equal(h, later[1])


def test_sums_do_not_depend_on_the_threads() -> None:
    own, before, found = parts(2, 130, 300, 3), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(results(own, False, LEARNED, True))  # type: ignore[arg-type]
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(p, q) for p, q in zip(found[0], others, strict=True))


def test_states_are_kept_for_training_alone() -> None:
    given_ = tuple(parts(2, 130, 20, 3).values())
    assert torch.ops.smrdsl.selective_native(*given_, False, True)[2].shape == (2, 3, 3, 32)
    assert torch.ops.smrdsl.selective_native(*given_, False, False)[2].numel() == 0


def test_second_derivatives_are_those_of_the_loop() -> None:
    def second(own: dict[str, Any], native: bool) -> list[Tensor]:
        mine = [own[k].detach().requires_grad_(k != "gaps") for k in NAMES]
        y, h = run(tuple(mine), False) if native else composed(*mine, decay=False)  # type: ignore[arg-type]
        learned = [p for p in mine if p.requires_grad]
        first = torch.autograd.grad(y.sin().sum() + h.square().sum(), learned, create_graph=True)
        return list(torch.autograd.grad(sum(g.square().sum() for g in first), learned))  # type: ignore[arg-type]

    own = parts(2, 6, 5, 3)
    for found, wanted in zip(second(own, True), second({k: p.double() for k, p in own.items()}, False), strict=True):
        close(found, wanted, 1e-4)


def test_the_operators_keep_torchs_promises() -> None:
    own = parts(2, 66, 5, 3)
    given_ = [p.requires_grad_(k != "gaps") for k, p in own.items()]
    tests = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(torch.ops.smrdsl.selective_native, (*given_, True, True), test_utils=tests)


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_kernel_is_never_told_a_wrong_shape(name: str) -> None:
    own = parts(2, 9, 5, 3)
    with pytest.raises(ValueError, match="belongs"):
        run(tuple((own | {name: own[name][..., :1]})[k] for k in NAMES), False)
