"""The selective scan by Triton, with its steps and its skip, against the loop in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from smrdsl.kernels import native_selective
from smrdsl.kernels.native_selective import composed, run
from tests.triton.where import HALF, OVERFLOWS, TILE, close, normal, triton

__all__ = ["triton"]
NAMES = ("x", "delta", "bias", "gaps", "A", "b", "c", "d", "h")
LEARNED = tuple(name for name in NAMES if name != "gaps")


def parts(batch: int = 2, length: int = TILE + 2, channels: int = 3, states: int = 3) -> dict[str, Tensor]:
    stream, rows = (batch, length, channels), (batch, length, states)
    return {
        "x": normal(*stream, seed=1),
        "delta": normal(*stream, seed=2),
        "bias": normal(channels, seed=3) - 1,
        "gaps": normal(batch, length, seed=4).abs(),
        "A": -torch.exp(normal(channels, states, seed=5)),
        "b": normal(*rows, seed=6),
        "c": normal(*rows, seed=7),
        "d": normal(channels, seed=8),
        "h": normal(batch, channels, states, seed=9),
    }


def results(own: dict[str, Any], decay: bool, compute: Any) -> list[Tensor]:
    """The outputs, the state and the gradients of all that is learned."""
    mine = [None if own[k] is None else own[k].detach().requires_grad_(k in LEARNED) for k in NAMES]
    y, h = compute(mine, decay)
    dy, dh = (normal(*p.shape, seed=10).to(p.dtype) for p in (y, h))
    wanted = [p for p in mine if p is not None and p.requires_grad]
    return [y, h, *torch.autograd.grad((y * dy).sum() + (h * dh).sum(), wanted)]


def check(own: dict[str, Any], decay: bool = False) -> None:
    wide = {k: None if p is None else p.double() for k, p in own.items()}
    mine = results(own, decay, lambda given, decay: run(tuple(given), decay))
    reference = results(wide, decay, lambda given, decay: composed(*given, decay=decay))
    for found, wanted in zip(mine, reference, strict=True):
        assert found.dtype == torch.float32
        close(found, wanted, 2e-5)


@pytest.mark.parametrize("decay", [False, True])
@pytest.mark.parametrize("absent", [(), ("gaps", "d")])
def test_it_is_the_recurrence(decay: bool, absent: tuple[str, ...]) -> None:
    check({k: None if k in absent else p for k, p in parts().items()}, decay)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (1, TILE, 5, 2), (1, 2 * TILE + 1, 2, 1)])
def test_shapes_of_all_kinds(sizes: tuple[int, int, int, int]) -> None:
    check(parts(*sizes))


def test_steps_of_all_sizes() -> None:
    """From those that vanish to those that leave no state."""
    own = parts(1)
    check(own | {"delta": own["delta"] * 30})


@pytest.mark.parametrize("shape", [(0, 5), (2, 0)])
def test_nothing_gives_nothing(shape: tuple[int, int]) -> None:
    own = parts(*shape)
    y, h, *grads = results(own, False, lambda given, decay: run(tuple(given), decay))
    assert y.shape == (*shape, 3)
    assert torch.equal(h, own["h"])
    assert not any(g.any() for g in grads[:-1])


def test_a_chunk_after_the_other_is_the_whole() -> None:
    own, outputs = parts(2, 2 * TILE + 2), []
    whole, last = run(tuple(own.values()), False)  # type: ignore[arg-type]
    cuts = [1, TILE, TILE + 1]
    h = own["h"]
    streams = zip(*(own[k].split(cuts, 1) for k in ("x", "delta", "gaps", "b", "c")), strict=True)
    for x, delta, gaps, b, c in streams:
        chunk = own | {"x": x, "delta": delta, "gaps": gaps, "b": b, "c": c, "h": h}
        y, h = run(tuple(chunk.values()), False)  # type: ignore[arg-type]
        outputs.append(y)
    close(torch.cat(outputs, 1), whole)
    close(h, last)


@OVERFLOWS
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_what_is_not_a_number_stays_in_its_channel_and_sequence(poison: float) -> None:
    own = parts(2, 2 * TILE)
    bad = own["x"].clone()
    bad[1, 2, 1] = poison
    clean, dirty = (run(tuple((own | {"x": x}).values()), False)[0] for x in (own["x"], bad))  # type: ignore[arg-type]
    reached = torch.zeros_like(bad, dtype=torch.bool)
    reached[1, 2:, 1] = True
    assert torch.equal(clean[~reached], dirty[~reached])
    assert not dirty[1, 2, 1].isfinite()


def test_second_derivatives_are_torchs() -> None:
    own = parts(1, 3, 2, 2)
    found = []
    for wide in (False, True):
        mine = [(p.double() if wide else p).requires_grad_(k in LEARNED) for k, p in own.items()]
        y, _ = composed(*mine, decay=False) if wide else run(tuple(mine), False)  # type: ignore[arg-type]
        (first,) = torch.autograd.grad(y.sin().sum(), mine[0], create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), mine[1])[0])
    close(found[0], found[1], 1e-4)


def test_streams_may_be_in_half_precision() -> None:
    """bfloat16 in and out, float32 inside: the same as of the rounded inputs."""
    x, delta, bias, gaps, a, b, c, d, h = parts().values()
    half = [p.bfloat16() for p in (x, delta)]
    wanted, last = run((half[0].float(), half[1].float(), bias, gaps, a, b, c, d, h), False)
    y, after = torch.empty_like(half[0]), torch.empty_like(h)
    native_selective.FORWARD(0, *x.shape, 3, *half, bias, gaps, a, b, c, d, h, y, after, None)
    close(y, wanted, HALF)
    close(after, last)
