"""The native bank whose samples lie at gaps against the loop in float64, and where a core runs it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smrdsl.compiler import compile_text
from smrdsl.kernels import native_gapped
from smrdsl.kernels.native_calls import kernel
from smrdsl.kernels.native_gapped import Numbers, composed, run
from tests.native.kernels import at_level, close, needs_library

pytestmark = needs_library
Given = list[Any]
"""u, x, gaps, z, w, c, d, each a tensor; d may be None."""
Rule = dict[str, bool]
RULES = [{"bilinear": bilinear, "decay": decay} for bilinear in (False, True) for decay in (False, True)]
HOLD = RULES[0]


def parts(batch: int, length: int, channels: int, modes: int, seed: int = 0) -> Given:
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g)

    z = torch.cat([-torch.exp(normal(channels, modes) - 2), 3 * normal(channels, modes)], 1)
    return [
        normal(batch, length, channels),
        normal(batch, channels, 2 * modes),
        normal(batch, length).abs(),
        z,
        normal(channels, 2 * modes),
        normal(channels, 2 * modes),
        normal(channels),
    ]


def results(own: Given, rule: Rule, native: bool) -> list[Tensor]:
    """The outputs, the state after them, and the gradients of all but the gaps."""
    mine = [None if p is None else p.detach().requires_grad_(i != 2) for i, p in enumerate(own)]
    u, x, gaps, z, w, c, d = mine
    y, after = run(u, x, gaps, Numbers(z, w, c, d, **rule)) if native else composed(*mine, **rule)
    g = torch.Generator().manual_seed(7)
    dy, dafter = (torch.randn(p.shape, generator=g).to(p.dtype) for p in (y, after))
    learned = [p for p in mine if p is not None and p.requires_grad]
    return [y, after, *torch.autograd.grad((y * dy).sum() + (after * dafter).sum(), learned)]


def check(own: Given, rule: Rule = HOLD, tolerance: float = 2e-5) -> None:
    wide = [None if p is None else p.double() for p in own]
    for found, wanted in zip(results(own, rule, True), results(wide, rule, False), strict=True):
        assert found.dtype == torch.float32
        close(found, wanted, tolerance)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    sizes=st.tuples(st.integers(1, 3), st.integers(1, 140), st.integers(1, 37), st.integers(1, 9)),
    skip=st.booleans(),
    rule=st.sampled_from(RULES),
    seed=st.integers(0, 99),
)
def test_it_is_the_recurrence(sizes: tuple[int, int, int, int], skip: bool, rule: Rule, seed: int) -> None:
    own = parts(*sizes, seed=seed)
    check(own if skip else [*own[:-1], None], rule)


@pytest.mark.parametrize("level", ["generic", "avx2", "avx512"])
def test_every_level_is_the_same(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = at_level(level, monkeypatch)
    monkeypatch.setattr(native_gapped, "FORWARD", kernel("gapped_forward", 6, 10, library))
    monkeypatch.setattr(native_gapped, "BACKWARD", kernel("gapped_backward", 6, 15, library))
    for sizes in ((1, 3, 2, 1), (2, 64, 16, 2), (2, 70, 37, 5)):
        for rule in RULES:
            check(parts(*sizes), rule)


@pytest.mark.parametrize("step", [1e-6, 1e-3, 1.0, 50.0])
def test_a_sample_weighs_what_it_should_however_small_the_step(step: float) -> None:
    """Where e^z - 1 would lose its digits, and where the sine has turned many times."""
    u, x, gaps, z, *rest = parts(2, 40, 17, 3)
    check([u, torch.zeros_like(x), gaps, step * z, *rest], tolerance=1e-4 if step > 1 else 2e-5)


def test_no_gap_leaves_a_state_as_it_is_and_an_endless_one_forgets_it() -> None:
    u, x, _, z, w, c, d = parts(1, 2, 5, 2)
    for gap, wanted in ((0.0, x), (1e9, -w.expand_as(x) * u[:, 1, :, None])):
        at = torch.tensor([[0.0, gap]])
        _, after = run(u, x, at, Numbers(z, w, c, d, **HOLD))
        torch.testing.assert_close(after, wanted)


def test_what_is_not_a_number_stays_in_its_channel_and_sequence() -> None:
    u, x, gaps, z, w, c, d = parts(2, 70, 19, 2)
    bad = u.clone()
    bad[1, 9, 3] = float("nan")
    clean, dirty = (run(v, x, gaps, Numbers(z, w, c, d, **HOLD))[0] for v in (u, bad))
    reached = torch.zeros_like(bad, dtype=torch.bool)
    reached[1, 9:, 3] = True
    assert dirty[reached].isnan().all()
    assert torch.equal(clean[~reached], dirty[~reached])


def test_inputs_may_lie_anyhow() -> None:
    _, x, _, z, w, c, d = parts(2, 70, 19, 2)
    u, gaps = torch.randn(2, 19, 70).transpose(1, 2), torch.rand(70, 2).T
    check([u, x, gaps, z.T.contiguous().T, w, c, d])


def test_second_derivatives_are_those_of_the_loop() -> None:
    """What torch's own operators have, in float32 as it is."""
    own = [p.requires_grad_(i != 2) for i, p in enumerate(parts(1, 5, 3, 1)) if p is not None]
    found = []
    for native in (True, False):
        u, x, gaps, z, w, c, d = own
        y = run(u, x, gaps, Numbers(z, w, c, d, **HOLD))[0] if native else composed(*own, **HOLD)[0]
        slope = torch.autograd.grad(y.square().sum(), z, create_graph=True)[0]
        found.append(torch.autograd.grad(slope.square().sum(), u)[0])
    close(found[0], found[1].double())


@pytest.mark.parametrize(
    "core",
    [
        "s4d(state=8)",
        "s4d(state=8, steps=decay)",
        "s4d(state=8, disc=bilinear)",
        "s4d(state=6, bidirectional=true)",
        "dss(state=8)",
    ],
)
def test_timed_cores_run_it_and_say_the_same(core: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = compile_text(f"model m {{ signal(channels=6, timed=true)  {core} }}", length=90, batch=2)
    u, dt = torch.randn(2, 90, 6), 2 * torch.rand(2, 90)
    ran = []
    monkeypatch.setattr(native_gapped, "run", lambda *given, **how: ran.append(1) or run(*given, **how))
    found = model(u, dt)
    assert ran
    close(found, model.double()(u.double(), dt.double()))


def test_gaps_that_learn_go_by_torch() -> None:
    model = compile_text("model m { signal(channels=6, timed=true)  s4d(state=8) }", length=9, batch=2)
    dt = torch.rand(2, 9, requires_grad=True)
    model(torch.randn(2, 9, 6), dt).sum().backward()
    assert dt.grad is not None
    assert dt.grad.abs().sum() > 0
