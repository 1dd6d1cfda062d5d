"""Models go to other processes: what holds an operator is pickled by the operator's name."""

from __future__ import annotations

import pickle

import torch

import smrdsl

TEXT = "model m { signal(channels=4)  linear(8)  norm(batch)  residual { norm  smr  s4d(state=4)  gelu }  linear(2) }"


def test_a_model_that_went_through_pickle_is_the_same() -> None:
    model = smrdsl.compile_text(TEXT, mode="infer", disable=["fold-maps"])
    again = pickle.loads(pickle.dumps(model))
    u = torch.randn(2, 9, 4)
    torch.testing.assert_close(again(u), model(u), rtol=0, atol=0)
    assert again.plan == model.plan
    assert again.source == model.source
    state = again.initial_state(2)
    torch.testing.assert_close(again.step(u[:, 0], state)[0], model.step(u[:, 0], model.initial_state(2))[0])


def test_an_operator_is_itself_after_pickle() -> None:
    for op in smrdsl.ops().values():
        assert pickle.loads(pickle.dumps(op)) is op
