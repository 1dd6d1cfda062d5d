"""mamba_ssm's scan in the place of ours: called as its makers say, only where it can, and only where it is quicker.

There is a stand-in for the package, which notes how it is called and computes by the loop.
"""

from __future__ import annotations

import sys
import time
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from smrdsl.kernels import native_selective, selective_peer
from smrdsl.kernels.native_selective import Given, composed
from tests.native.kernels import close
from tests.native.test_layers import a_layer, signal

PLACE = "mamba_ssm.ops.selective_scan_interface"


class Peer:
    """Takes (B, D, L) and (B, N, L), time last in memory, as mamba_ssm does."""

    def __init__(self) -> None:
        self.calls, self.slow = 0, 0.0

    def __call__(
        self, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None = None,
        z: Tensor | None = None, delta_bias: Tensor | None = None, delta_softplus: bool = False,
        return_last_state: bool = False,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        assert delta_softplus
        assert return_last_state
        assert delta_bias is not None
        assert z is None
        assert all(p.stride(-1) == 1 for p in (u, delta, B, C))
        self.calls += 1
        time.sleep(self.slow)
        x, delta, b, c = (p.transpose(1, 2) for p in (u, delta, B, C))
        y, after = composed(x, delta, delta_bias, None, A, b, c, D, u.new_zeros(u.shape[0], *A.shape), decay=False)
        return y.transpose(1, 2), after.detach()


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Peer:
    """Installed, and here is where it runs."""
    found = Peer()
    for name in ("mamba_ssm", "mamba_ssm.ops", PLACE):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules[PLACE].selective_scan_fn = found  # type: ignore[attr-defined]
    monkeypatch.setattr(selective_peer, "THERE", True)
    monkeypatch.setattr(selective_peer, "DEVICE", "cpu")
    monkeypatch.setattr(selective_peer, "quicker", {})
    return found


def always(monkeypatch: pytest.MonkeyPatch, quicker: bool) -> None:
    monkeypatch.setattr(selective_peer, "is_quicker", lambda *_: quicker)


def parts(gaps: Tensor | None = None, dtype: torch.dtype = torch.float32) -> Given:
    g = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g).to(dtype).requires_grad_()

    rates = (-torch.exp(normal(3, 2))).detach().requires_grad_()
    stream, rows = (2, 7, 3), (2, 7, 2)
    zeros = torch.zeros(2, 3, 2, dtype=dtype)
    return normal(*stream), normal(*stream), normal(3), gaps, rates, normal(*rows), normal(*rows), normal(3), zeros


def gradients(run: Any, given: Given, second: bool = False) -> list[Tensor]:
    y, _ = run(given, False)
    learned = [p for p in given if p is not None and p.requires_grad]
    found = torch.autograd.grad(y.sin().sum(), learned, create_graph=second)
    return [y, *found, *(torch.autograd.grad(found[0].square().sum(), learned[1]) if second else ())]


@pytest.mark.parametrize("second", [False, True])
def test_it_gives_what_ours_gives(second: bool, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    always(monkeypatch, True)
    found = gradients(selective_peer.run, parts(), second)
    assert peer.calls == 1
    wide: Any = parts(dtype=torch.float64)
    for mine, wanted in zip(found, gradients(lambda p, d: composed(*p, decay=d), wide, second), strict=True):
        close(mine, wanted, 1e-4 if second else 1e-5)


def test_a_layer_uses_it_for_whole_sequences_only(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    always(monkeypatch, True)
    monkeypatch.setattr("smrdsl.ops.s6.layer.fits", lambda *_, **__: True)
    monkeypatch.setattr(native_selective, "can_run", lambda *_: True)
    monkeypatch.setattr(native_selective, "run", lambda given, decay: composed(*given, decay=decay))
    layer, u = a_layer("s6", {"state": 2}, 3), signal(2, 6, 3)
    whole = layer(u)
    assert peer.calls == 1
    layer.extend(u, torch.zeros(2, 3, 2))
    layer(u, dt=torch.ones(2, 6))
    assert peer.calls == 1
    layer.strategy = "scan"
    close(whole, layer(u))
    assert peer.calls == 1


@pytest.mark.parametrize("case", ["gaps", "another device", "not installed", "no samples", "many states"])
def test_it_is_not_asked_for_what_it_cannot_do(case: str, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    always(monkeypatch, True)
    monkeypatch.setattr(native_selective, "run", lambda given, decay: (given[0], given[-1]))
    given = parts(torch.ones(2, 7) if case == "gaps" else None)
    if case == "another device":
        monkeypatch.setattr(selective_peer, "DEVICE", "cuda")
    if case == "not installed":
        monkeypatch.setattr(selective_peer, "THERE", False)
    if case == "no samples":
        given = (given[0][:0], *given[1:])
    if case == "many states":
        monkeypatch.setattr(selective_peer, "MOST_STATES", 1)
    selective_peer.run(given, False)
    assert peer.calls == 0


@pytest.mark.parametrize(("theirs", "ours", "calls"), [(0.0, 0.02, 2), (0.02, 0.0, 0)])
def test_the_quicker_one_runs(
    theirs: float, ours: float, calls: int, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(given: Given, decay: bool) -> tuple[Tensor, Tensor]:
        time.sleep(ours)
        return composed(*given, decay=decay)

    monkeypatch.setattr(native_selective, "run", slowly)
    peer.slow, given = theirs, parts()
    selective_peer.run(given, False)
    timed = selective_peer.ROUNDS + 1
    selective_peer.run(given, False)
    assert peer.calls == timed + calls
    assert len(selective_peer.quicker) == 1


def test_timing_leaves_no_gradients(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_selective, "run", lambda given, decay: composed(*given, decay=decay))
    given = parts()
    selective_peer.run(given, False)
    assert all(p is None or p.grad is None for p in given)
