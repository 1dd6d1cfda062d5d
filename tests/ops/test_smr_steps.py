"""`smr(steps=true)`: memories at their true ages. Plain smr on an even grid, the same signal on any other."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import smrdsl
from smrdsl.core.errors import SpecError
from smrdsl.kernels import ages
from smrdsl.ops.smr.layer import Smr
from smrdsl.ops.smr.reference import reference
from tests.ops.test_smr import IDENTITIES, make, signal

WIDTH = 5
SETTINGS = [{}, {"memory": 1}, {"memory": 2, "kernel": 3, "gate": "silu"}, {"memory": 6, "mix": "pointwise"}]


def moved(**arguments: Any) -> Smr:
    """A layer in float64 that is not the identity."""
    layer, g = make(steps=True, **arguments).double(), torch.Generator().manual_seed(4)
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(torch.randn(p.shape, dtype=p.dtype, generator=g))
    return layer


def zeros(layer: Smr, batch: int) -> list[Tensor]:
    kept = layer.past, max(0, layer.past - 1)
    return [torch.zeros(batch, kept[0], WIDTH).double(), torch.zeros(batch, kept[1]).double()]


@pytest.mark.parametrize("arguments", SETTINGS, ids=str)
def test_on_an_even_grid_it_is_the_plain_one(arguments: dict[str, Any]) -> None:
    layer, u = moved(**arguments), signal(torch.float64)
    plain = make(**arguments).double()
    plain.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(u, dt=torch.ones(3, 50).double()), plain(u), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(layer(u), plain(u), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("arguments", IDENTITIES, ids=str)
def test_it_starts_as_the_identity_on_every_grid(arguments: dict[str, Any]) -> None:
    layer, u = make(steps=True, **arguments), signal()
    assert torch.equal(layer(u, dt=torch.rand(3, 50) * 5 + 0.01), u)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    arguments=st.sampled_from(SETTINGS),
    shape=st.tuples(st.integers(1, 3), st.integers(0, 20)),
    spread=st.sampled_from([0.1, 1.0, 3.0, 1e4]),
    cuts=st.lists(st.integers(0, 20), max_size=4),
    seed=st.integers(0, 99),
)
def test_parallel_chunks_steps_and_the_definition_agree(
    arguments: dict[str, Any], shape: tuple[int, int], spread: float, cuts: list[int], seed: int
) -> None:
    g, (batch, length), layer = torch.Generator().manual_seed(seed), shape, moved(**arguments)
    u = torch.randn(batch, length, WIDTH, dtype=torch.float64, generator=g)
    dt = torch.exp(torch.randn(batch, length, dtype=torch.float64, generator=g)) * spread
    y = layer(u, dt=dt)
    if length:
        torch.testing.assert_close(y, reference(layer, u, dt=dt), rtol=1e-9, atol=1e-9)
    edges = [0, *sorted(min(c, length) for c in cuts), length]
    lengths = [b - a for a, b in pairwise(edges)]
    state, chunks = zeros(layer, batch), []
    for part, gaps in zip(u.split(lengths, 1), dt.split(lengths, 1), strict=True):
        out, *state = layer.extend(part, *state, dt=gaps)
        chunks.append(out)
    last, state = state, zeros(layer, batch)
    torch.testing.assert_close(torch.cat(chunks, 1), y, rtol=1e-12, atol=1e-12)
    for t in range(length):
        out, *state = layer.step(u[:, t], *state, dt=dt[:, t])
        torch.testing.assert_close(out, y[:, t], rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(last, state, strict=True):
        assert torch.equal(mine, theirs)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(gaps=st.lists(st.floats(0.6, 8.0), min_size=12, max_size=12))
def test_a_straight_line_looks_the_same_on_every_grid(gaps: list[float]) -> None:
    """What a filter sees is u at ages 0, 1, 2, 3, however it was sampled: that is what the option is for."""
    dt, taps = torch.tensor([gaps], dtype=torch.float64), torch.tensor([[0.5, -1.0, 2.0, 0.25]]).double()
    times = dt.cumsum(1)
    u = (3.0 + 0.7 * times).unsqueeze(2)
    before, none = torch.zeros(1, 6, 1).double(), torch.zeros(1, 5).double()
    p = ages.respond(u, before, dt, none, taps)
    wanted = sum(h * (3.0 + 0.7 * (times - a)) for a, h in enumerate(taps[0].tolist()))
    late = times - times[:, :1] >= 3.0  # else it reaches behind the first sample
    torch.testing.assert_close(p[late.unsqueeze(2)], wanted[late])  # type: ignore[index]


def test_weights_are_shares_and_the_oldest_is_held() -> None:
    weights = ages.line(torch.tensor([[0.25, 0.5, 1.0], [1.0, 1.0, 1.0], [100.0, 1.0, 1.0]]), 4)
    torch.testing.assert_close(weights.sum(1), torch.ones(3, 4))
    assert torch.equal(weights[1], torch.eye(4))
    torch.testing.assert_close(weights[0, :, 1], torch.tensor([0.0, 0.0, 0.75, 0.25]))
    torch.testing.assert_close(weights[0, :, 2:], torch.tensor([0.0, 0.0, 0.0, 1.0])[:, None].expand(4, 2))
    torch.testing.assert_close(weights[2, :, 1], torch.tensor([0.99, 0.01, 0.0, 0.0]))


def test_a_rate_is_a_gap() -> None:
    layer, u = moved(), signal(torch.float64)
    gaps = torch.full((3, 50), 0.5).double()
    torch.testing.assert_close(layer(u, rate=0.5), layer(u, dt=gaps))
    torch.testing.assert_close(layer(u, rate=2.0, dt=gaps), layer(u))


def test_gradients_are_right() -> None:
    layer = moved(memory=3)
    g = torch.Generator().manual_seed(0)
    u = torch.randn(2, 7, WIDTH, dtype=torch.float64, generator=g, requires_grad=True)
    dt = (torch.rand(2, 7, dtype=torch.float64, generator=g) + 0.3).requires_grad_()
    assert torch.autograd.gradcheck(lambda u, dt, m: layer(u, dt=dt), (u, dt, layer.m))


def test_in_a_model_it_streams_and_stands_before_any_timed_core() -> None:
    text = "model m { signal(channels=3, timed=true) linear(4) smr(steps=true) s5(state=4) gelu smr(steps=true) s6(2) }"
    model = smrdsl.compile_text(text, dtype="float64", mode="infer")
    g = torch.Generator().manual_seed(0)
    u, dt = (torch.rand(2, 9, *shape, dtype=torch.float64, generator=g) + 0.2 for shape in ((3,), ()))
    with torch.no_grad():
        model.smr.m.normal_(generator=g)  # type: ignore[union-attr,operator]
        y, state = model(u, dt), model.initial_state(2)
        for t in range(9):
            out, state = model.step(u[:, t], state, dt[:, t])
            torch.testing.assert_close(out, y[:, t], rtol=1e-9, atol=1e-9)
        assert not torch.allclose(y, model(u, torch.ones_like(dt)))


def test_without_gaps_it_is_refused_with_the_fix() -> None:
    with pytest.raises(SpecError) as failure:
        smrdsl.compile_text("model m { signal(channels=3) smr(steps=true) s4d(state=2) }")
    (diagnostic,) = failure.value.diagnostics
    assert diagnostic.code == "E0405"
    assert "write `timed=true` on the input" in diagnostic.message
