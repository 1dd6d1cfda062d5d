"""`embed` and `pool`: the ends of a model of tokens; counters, limits and empty sequences."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from smrdsl.core.errors import SmrError
from smrdsl.core.types import StreamType
from smrdsl.ops import embed, pool
from smrdsl.ops.contract import Misfit
from smrdsl.ops.embed.layer import Embed
from smrdsl.ops.pool.layer import Pool

TOKENS = (StreamType.index(11),)


def make(**arguments: Any) -> Embed:
    p = embed.EmbedParams(width=5, **arguments)
    layer = Embed(p, TOKENS, embed.infer(p, TOKENS)).double()
    layer.reset_parameters(lambda name: torch.Generator().manual_seed(len(name)))
    return layer


def tokens(length: int) -> Tensor:
    return torch.arange(2 * length).view(2, length) % 11


def test_positions_are_added() -> None:
    plain, learned, waves = make(), make(positions="learned", max_length=8), make(positions="sinusoidal")
    assert torch.equal(plain(tokens(8)), plain.weight[tokens(8)])
    assert learned.positions is not None
    assert torch.equal(learned(tokens(8)), learned.weight[tokens(8)] + learned.positions)
    wanted = [[(math.sin, math.cos)[i % 2](t / 10_000 ** ((i - i % 2) / 5)) for i in range(5)] for t in range(8)]
    found = waves(tokens(8)) - waves.weight[tokens(8)]
    torch.testing.assert_close(found[0], torch.tensor(wanted, dtype=torch.float64))


def test_rows_of_a_batch_may_stand_at_different_positions() -> None:
    layer = make(positions="learned", max_length=8)
    assert layer.positions is not None
    y, after = layer.step(torch.tensor([1, 1]), torch.tensor([2, 7]))
    torch.testing.assert_close(y, layer.weight[1] + layer.positions[[2, 7]])
    assert after.tolist() == [3, 8]


def test_beyond_max_length_is_an_error_everywhere() -> None:
    layer = make(positions="learned", max_length=8)
    zero, full = torch.zeros(2, dtype=torch.int64), torch.tensor([3, 8])
    for attempt in (
        lambda: layer(tokens(9)),
        lambda: layer.extend(tokens(9), zero),
        lambda: layer.extend(tokens(1), full),
        lambda: layer.step(tokens(1)[:, 0], full),
    ):
        with pytest.raises(SmrError, match=r"longer than max_length=8.*positions=sinusoidal"):
            attempt()
    assert layer.extend(tokens(8), zero)[1].tolist() == [8, 8]


def test_an_unknown_token_is_an_error() -> None:
    with pytest.raises(SmrError, match=r"not in 0\.\.10 \(vocab=11\)"):
        make()(torch.tensor([[0, 11]]))


def test_the_tables_start_small() -> None:
    p = embed.EmbedParams(width=64, positions="learned", max_length=100)
    layer = Embed(p, (StreamType.index(500),), StreamType.real(64))
    layer.reset_parameters(lambda name: torch.Generator().manual_seed(len(name)))
    for table in layer.parameters():
        assert 0.019 < table.std() < 0.021


def test_misfits() -> None:
    with pytest.raises(Misfit, match="embed needs tokens"):
        embed.infer(embed.EmbedParams(width=5), (StreamType.real(5),))
    with pytest.raises(Misfit, match="needs max_length"):
        embed.infer(embed.EmbedParams(width=5, positions="learned"), TOKENS)


def pooled(kind: str) -> Pool:
    p, inputs = pool.PoolParams(kind=kind), (StreamType.real(3),)  # type: ignore[arg-type]
    return Pool(p, inputs, pool.infer(p, inputs))


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [("mean", [-2.0, 4.0]), ("last", [-1.0, 7.0]), ("max", [-1.0, 7.0]), ("sum", [-6.0, 12.0])],
)
def test_pooled_values(kind: str, wanted: list[float]) -> None:
    x = torch.tensor([[-3.0, 1.0], [-2.0, 4.0], [-1.0, 7.0]])[None]
    assert pooled(kind)(x)[0].tolist() == wanted


@pytest.mark.parametrize("kind", ["mean", "last", "max", "sum"])
def test_empty_sequences_leave_zeros_and_are_forgotten(kind: str) -> None:
    layer = pooled(kind)
    zero = torch.zeros(2, 3)
    assert torch.equal(layer(torch.ones(2, 0, 3)), zero)
    counts = (torch.zeros(2, dtype=torch.int64),) if kind in ("mean", "max") else ()
    y, *state = layer.extend(torch.ones(2, 0, 3), zero, *counts)
    assert torch.equal(y, zero)
    x = -1 - torch.rand(2, 4, 3, generator=torch.Generator().manual_seed(0))  # all below the zeros of the state
    y, *state = layer.extend(x, *state)
    torch.testing.assert_close(y, layer(x))
    y, *_ = layer.extend(x[:, :0], *state)
    torch.testing.assert_close(y, layer(x))
