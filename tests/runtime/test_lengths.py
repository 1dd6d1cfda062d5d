"""Padded batches: `lengths=` leaves what each sequence alone would give."""

from __future__ import annotations

import pytest
import torch

import smrdsl
from smrdsl.runtime.errors import InputError

LOOKS_BOTH_WAYS = """
model padded {
  signal(channels=3)  linear(8)
  bidirectional(merge=concat) { residual { norm(batch)  s4d(state=4) } }
  linear(8)  gelu
  residual { norm(layer)  s4(state=4, bidirectional=true) }
  residual { conv1d(kernel=5, causal=false)  attention(heads=2, causal=false) }
  POOL
}
"""
LENGTHS = (7, 0, 1, 12, 11)


@pytest.mark.parametrize("pool", ["mean", "max", "sum", "last"])
def test_a_padded_batch_is_its_sequences_alone(pool):
    model = smrdsl.compile_text(LOOKS_BOTH_WAYS.replace("POOL", f"pool({pool})  linear(4)")).double().eval()
    u = torch.randn(5, 12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    alone = [model(u[i : i + 1, :n]) for i, n in enumerate(LENGTHS)]
    for i, n in enumerate(LENGTHS):
        u[i, n:] = torch.nan
    u.requires_grad_()
    found = model(u, lengths=torch.tensor(LENGTHS))
    torch.testing.assert_close(found, torch.cat(alone), rtol=1e-9, atol=1e-9)
    found.sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
    assert torch.isfinite(u.grad).all()


def test_a_batch_that_is_not_padded_is_as_without_lengths():
    model = smrdsl.compile_text(LOOKS_BOTH_WAYS.replace("POOL", "linear(4)")).double()
    u = torch.randn(2, 6, 3, dtype=torch.float64)
    torch.testing.assert_close(model(u, lengths=torch.tensor([6, 6])), model(u), rtol=1e-9, atol=1e-9)


def test_causal_models_take_lengths_too():
    model = smrdsl.compile_text("model m { signal(channels=2)  s4d(state=4) }")
    u = torch.randn(2, 6, 2)
    padded = u.clone()
    padded[0, 3:] = torch.nan
    y, alone = model(padded, lengths=torch.tensor([3, 6])), model(u)
    torch.testing.assert_close(y[0, :3], alone[0, :3])
    torch.testing.assert_close(y[1], alone[1])


def test_gaps_and_pairs_are_padded_too():
    steps = "linear(4)  bidirectional(merge=add) { s5(state=4) }  pool(mean)  match"
    text = f"model m {{ signal(channels=2, timed=true, pair=true)  {steps} }}"
    model = smrdsl.compile_text(text, dtype="float64", mode="infer")
    u, dt = torch.randn(1, 2, 6, 2).double(), torch.rand(1, 2, 6).double() + 0.5
    first, second = u[:, :1, :4].repeat(1, 2, 1, 1), u[:, 1:, :6].repeat(1, 2, 1, 1)
    wanted = [model(v, dt[:, i : i + 1, : v.shape[2]].repeat(1, 2, 1)) for i, v in enumerate((first, second))]
    u[:, 0, 4:], dt[:, 0, 4:] = torch.nan, torch.nan
    found = model(u, dt, lengths=torch.tensor([[4, 6]]))
    torch.testing.assert_close(found[:, :4], wanted[0][:, :4], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found[:, 4:8], wanted[1][:, :4], rtol=1e-9, atol=1e-9)


def test_lengths_that_do_not_fit():
    model = smrdsl.compile_text("model m { signal(channels=2)  pool(mean) }")
    u = torch.zeros(2, 6, 2)
    for lengths, told in (
        (torch.tensor([1.0, 2.0]), r"lengths must be whole numbers \(2,\), this is torch.float32 \(2,\)"),
        (torch.tensor([1]), r"this is torch.int64 \(1,\)"),
        ([1, 2], "this is a list"),
        (torch.tensor([1, 7]), "from 0 to 6"),
        (torch.tensor([-1, 6]), "from 0 to 6"),
    ):
        with pytest.raises(InputError, match=told):
            model(u, lengths=lengths)
    with pytest.raises(InputError, match="without state and return_state"):
        model(u, lengths=torch.tensor([1, 6]), return_state=True)


@pytest.mark.parametrize("shape", [(3, 6), (2, 5), (2,), (2, 6, 1)])
def test_gaps_of_another_shape_are_told_beside_lengths_too(shape):
    model = smrdsl.compile_text("model m { signal(channels=2, timed=true)  s4d(state=4) }")
    with pytest.raises(InputError, match=r"dt must be reals \(2, 6\)"):
        model(torch.zeros(2, 6, 2), torch.ones(shape), lengths=torch.tensor([3, 6]))
