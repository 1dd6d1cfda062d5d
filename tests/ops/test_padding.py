"""The contract of operators that look beyond the end: a padded batch is its sequences alone, whatever the padding is.

Over operators() x samples, as the rest of the contract in `test_contract.py`.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from smrdsl.ops.contract import Operator, Params, Streams
from tests.ops.test_contract import LENGTH, SAMPLES, Case, close, draw

ENDS = (14, 0, LENGTH, 1)
"""Lengths of the sequences of a padded batch."""
PADDED = [s for s in SAMPLES if s.values[0].uses_lengths(s.values[1])]


@pytest.mark.parametrize(("op", "p", "inputs"), PADDED)
def test_padding_counts_as_nothing(op: Operator, p: Params, inputs: Streams) -> None:
    """With NaN behind the ends, in gaps as well, by every strategy: the same values and the same gradients."""
    case = Case(op, p, inputs)
    padded = [padded_with_nan(s).requires_grad_(s.is_floating_point()) for s in case.streams(len(ENDS))]
    gaps = padded_with_nan(0.5 + torch.rand(len(ENDS), LENGTH, dtype=torch.float64, generator=draw("gaps")))
    for clock in ({}, {"dt": gaps}) if op.uses_step(p) else ({},):
        alone = [case.layer(*one(padded, i), *case.tied(), **one_clock(clock, i)) for i in range(len(ENDS))]
        wanted, gradients = outcome(case, padded, alone)
        for strategy in op.strategies or ("",):
            if strategy:
                case.layer.strategy = strategy
            y = case.layer(*padded, *case.tied(), **clock, lengths=torch.tensor(ENDS))
            parts = [y[i : i + 1, :n] if case.output.timed else y[i : i + 1] for i, n in enumerate(ENDS)]
            found, own = outcome(case, padded, parts)
            close(found, wanted)
            for gradient, exact in zip(own, gradients, strict=True):
                close(gradient, exact)


def test_there_are_operators_that_look_beyond_the_end() -> None:
    names = {s.values[0].name for s in PADDED}
    assert names >= {"flip", "pool", "norm", "conv1d", "attention", "s4", "s4d", "ema", "dss"}


def padded_with_nan(x: Tensor) -> Tensor:
    """x (B, L, ...) with NaN behind the ENDS; tokens stay what they are."""
    if not x.is_floating_point():
        return x
    behind = torch.arange(LENGTH) >= torch.tensor(ENDS)[:, None]
    return x.masked_fill(behind.view(*behind.shape, *(1,) * (x.dim() - 2)), torch.nan)


def one(streams: list[Tensor], i: int) -> list[Tensor]:
    """The i-th sequence by itself."""
    return [s[i : i + 1, : ENDS[i]] for s in streams]


def one_clock(clock: dict[str, Tensor], i: int) -> dict[str, Tensor]:
    """The gaps of the i-th sequence, where there are any."""
    return dict(zip(clock, one(list(clock.values()), i), strict=True))


def outcome(case: Case, streams: list[Tensor], outputs: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """All numbers of some outputs, and the gradients of their weighted sum in what was learned and in the streams."""
    y = torch.cat([z.flatten() for z in outputs])
    learned = [*case.layer.parameters(), *(s for s in streams if s.requires_grad)]
    weights = torch.linspace(-1, 1, len(y), dtype=y.dtype)
    return y.detach(), list(torch.autograd.grad(y, learned, weights, materialize_grads=True))
