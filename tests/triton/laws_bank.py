"""Diagonal systems by Triton, against the loop in float64: outputs, states and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from smrdsl.kernels import native_bank
from smrdsl.kernels.native_bank import NativeBank
from tests.native.test_bank import loop
from tests.triton.where import DEVICE, HALF, OVERFLOWS, TILE, close, normal, triton

__all__ = ["triton"]
NAMES = ("u", "x", "a", "b", "c", "d")
PAIRS, REAL = 1, 0
every_kind = pytest.mark.parametrize("kind", [PAIRS, REAL])


def parts(
    kind: int, batch: int = 2, length: int = TILE + 2, channels: int = 3, states: int = 6
) -> dict[str, Tensor | None]:
    """Of a stable system; three pairs, or six real numbers."""
    a = normal(channels, states, seed=1)
    size = 0.9 * torch.rand(channels, states // 2, generator=torch.Generator().manual_seed(2)).to(DEVICE)
    turned = torch.cat([size * a[:, : states // 2].cos(), size * a[:, : states // 2].sin()], 1)
    return {
        "u": normal(batch, length, channels, seed=3),
        "x": normal(batch, channels, states, seed=4),
        "a": turned if kind == PAIRS else 0.9 * a.tanh(),
        "b": normal(channels, states, seed=5),
        "c": normal(channels, states, seed=6),
        "d": normal(channels, seed=7),
    }


def run(own: dict[str, Tensor | None], kind: int, backwards: bool = False) -> tuple[Tensor, Tensor]:
    u, x, a, b, c, d = (own[k] for k in NAMES)
    return NativeBank(a, b, c, d, None, None, kind).run(u, x, backwards)  # type: ignore[arg-type]


def check(own: dict[str, Tensor | None], kind: int) -> None:
    mine = {k: None if p is None else p.clone().requires_grad_() for k, p in own.items()}
    wide = {k: None if p is None else p.double().requires_grad_() for k, p in own.items()}
    found, system = run(mine, kind), NativeBank(*([None] * 6), kind)  # type: ignore[arg-type]
    u, a = wide["u"], wide["a"]
    assert u is not None
    assert a is not None
    start = u.new_zeros(u.shape[0], *a.shape) if wide["x"] is None else wide["x"]
    wanted = loop(system, u, start, [*(wide[k] for k in NAMES[2:]), None, None])
    dy, dafter = (normal(*p.shape, seed=8) for p in wanted)
    grads = []
    for (y, after), own_parts in ((found, mine), (wanted, wide)):
        learned = [p for p in own_parts.values() if p is not None]
        grads.append(torch.autograd.grad((y * dy).sum() + (after * dafter).sum(), learned))
    for mine_, wanted_ in zip((*found, *grads[0]), (*wanted, *grads[1]), strict=True):
        assert mine_.dtype == torch.float32
        close(mine_, wanted_, 2e-5)


@every_kind
@pytest.mark.parametrize("absent", [(), ("x", "b", "d")])
def test_it_is_the_recurrence(kind: int, absent: tuple[str, ...]) -> None:
    check({k: None if k in absent else p for k, p in parts(kind).items()}, kind)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 2), (1, TILE, 3, 4), (1, 2 * TILE + 1, 5, 2)])
def test_shapes_of_all_kinds(sizes: tuple[int, int, int, int]) -> None:
    check(parts(PAIRS, *sizes), PAIRS)


@every_kind
@pytest.mark.parametrize("shape", [(0, 5), (2, 0)])
def test_nothing_gives_nothing(kind: int, shape: tuple[int, int]) -> None:
    own = {k: p.requires_grad_() for k, p in parts(kind, *shape).items() if p is not None}
    y, after = run({"b": None, **own}, kind)
    assert y.shape == (*shape, 3)
    assert torch.equal(after, own["x"])
    y.sum().backward()
    assert not any(p.grad.any() for p in own.values() if p.grad is not None)


@every_kind
def test_a_chunk_after_the_other_is_the_whole(kind: int) -> None:
    own, outputs = parts(kind), []
    whole, last = run(own, kind)
    assert own["u"] is not None
    x = own["x"]
    for chunk in own["u"].split([1, TILE + 1], 1):
        y, x = run(own | {"u": chunk, "x": x}, kind)
        outputs.append(y)
    close(torch.cat(outputs, 1), whole)
    assert x is not None
    close(x, last)


def test_backwards_is_the_same_in_a_mirror() -> None:
    own = parts(PAIRS) | {"x": None}
    u = own["u"]
    assert u is not None
    u.requires_grad_()
    y, mirrored = run(own, PAIRS, backwards=True)[0], run(own | {"u": u.flip(1)}, PAIRS)[0].flip(1)
    assert torch.equal(y, mirrored)
    g = normal(*y.shape, seed=9)
    assert torch.equal(torch.autograd.grad(y, u, g)[0], torch.autograd.grad(mirrored, u, g)[0])


@OVERFLOWS
@pytest.mark.parametrize(("kind", "poison"), [(PAIRS, float("nan")), (REAL, float("inf"))])
def test_what_is_not_a_number_stays_in_its_channel_and_sequence(kind: int, poison: float) -> None:
    own = parts(kind)
    assert own["u"] is not None
    bad = own["u"].clone()
    bad[1, 1, 2] = poison
    clean, dirty = run(own, kind)[0], run(own | {"u": bad}, kind)[0]
    reached = torch.zeros_like(bad, dtype=torch.bool)
    reached[1, 1:, 2] = True
    assert torch.equal(clean[~reached], dirty[~reached])
    assert not dirty[1, 1, 2].isfinite()


def test_streams_may_be_in_half_precision() -> None:
    """bfloat16 in and out, float32 inside: the same as of the rounded inputs."""
    u, x, a, b, c, d = parts(PAIRS).values()
    assert u is not None
    half = u.bfloat16()
    wanted, last = NativeBank(a, b, c, d, None, None, PAIRS).run(half.float(), x)  # type: ignore[arg-type]
    y, after = torch.empty_like(half), torch.empty_like(x)  # type: ignore[arg-type]
    native_bank.FORWARD["diagonal"](PAIRS, *u.shape, 6, 0, half, x, a, b, c, d, None, None, y, after, None)
    close(y, wanted, HALF)
    close(after, last)
