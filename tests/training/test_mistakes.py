"""What goes wrong is told in the user's terms, before anything is trained where that can be."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from smrdsl.core.errors import SmrError
from smrdsl.runtime.errors import InputError
from smrdsl.training.alone import alone
from smrdsl.training.batches import Batches
from smrdsl.training.guard import NotFinite
from smrdsl.training.train import train


def npz(tmp_path, **arrays):
    np.savez(tmp_path / "own.npz", **arrays)
    return str(tmp_path / "own.npz")


def model(tmp_path, text):
    (tmp_path / "m.smr").write_text(text, encoding="utf-8")
    return tmp_path / "m.smr"


POOLED = "model m {\n  signal(channels=1)\n  linear(3)\n  pool(mean)\n}\n"
MISFITS = {
    "another kind of input": (
        "model m { tokens(vocab=5)  embed(2)  pool  linear(3) }",
        {"u": np.zeros((9, 4, 1)), "y": np.arange(9) % 3},
        r"m\.smr:1:11: tokens\(vocab=5\): the model reads tokens, own\.npz has reals \([79], 4, 1\)",
    ),
    "more channels": (
        POOLED,
        {"u": np.zeros((9, 4, 2)), "y": np.arange(9) % 3},
        r"m\.smr:2:3: signal\(channels=1\): the model reads 1 channels, own\.npz has reals",
    ),
    "more classes": (
        POOLED,
        {"u": np.zeros((9, 4, 1)), "y": np.arange(9)},
        r"m\.smr:4:3: pool\(mean\): the model tells 3 classes apart, own\.npz has one of 9 classes for each sequence",
    ),
    "no pool": (
        "model m { signal(channels=1)  linear(3) }",
        {"u": np.zeros((9, 4, 1)), "y": np.arange(9) % 3},
        r"linear\(3\): the model leaves 3 numbers for each sample, .* put `pool\(mean\)` before it",
    ),
    "more tokens": (
        "model m { tokens(vocab=5)  embed(2)  linear(5) }",
        {"u": np.full((9, 4), 7)},
        r"tokens\(vocab=5\): the model knows 5 tokens, own\.npz has 8",
    ),
    "a look ahead": (
        "model m { tokens(vocab=5)  embed(2)  attention(heads=1, causal=false)  linear(5) }",
        {"u": np.arange(45).reshape(9, 5) % 5},
        r"attention\(heads=1, causal=false\): it looks ahead, so that it sees the next token, which it should say",
    ),
    "reals of another width": (
        POOLED,
        {"u": np.zeros((9, 4, 1)), "y": np.zeros((9, 4, 1))},
        r"pool\(mean\): the model leaves 3 numbers for each sequence, own\.npz has 1 numbers to say for each sample",
    ),
    "single sequences for a model of pairs": (
        "model m { signal(channels=1, pair=true)  pool  match  linear(2) }",
        {"u": np.zeros((9, 4, 1)), "y": np.arange(9) % 2},
        r"the model reads pairs of sequences, own\.npz has reals",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_data_that_does_not_fit_names_the_line_and_what_it_has(case, tmp_path):
    text, arrays, message = MISFITS[case]
    with pytest.raises(SmrError, match=message):
        train(model(tmp_path, text), npz(tmp_path, **arrays), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -1.0}, "lr: Input should be greater than 0"),
        ({"learning_rate": 1.0}, "no setting `learning_rate`"),
        ({"epochs": 1, "max_steps": 1}, "exclude each other"),
        ({"batch": 5, "devices": 2}, "a batch of 5 sequences cannot be shared out evenly to 2 devices"),
        ({"augment": "jiter=0.3"}, "no sampling grid `jiter=0.3`, did you mean `jitter`"),
        ({"augment": "skip=2"}, "the number is from 0 to 0.99"),
        ({"timeout": float("inf")}, "timeout: Input should be less than or equal to 1000000"),
        ({"batch": 100, "devices": 100}, r"waves\.npz has 96 sequences to train on, too few for 100 devices"),
    ],
)
def test_settings_are_checked(settings, message, fit):
    with pytest.raises(SmrError, match=message):
        fit("out", **{"max_steps": None, **settings})


def test_a_folder_of_something_else_is_left_alone(fit, tmp_path):
    (tmp_path / "out/model").mkdir(parents=True)
    with pytest.raises(SmrError, match=r"out holds model, which no training left there: --out names another folder"):
        fit("out")
    (tmp_path / "file").touch()
    with pytest.raises(SmrError, match=r"file is a file, not a folder"):
        fit("file")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["model"]


def test_a_folder_that_another_training_holds(fit, tmp_path):
    with alone(tmp_path / "out"), pytest.raises(SmrError, match=r"out: another process is training there: wait for it"):
        fit("out")
    fit("out", max_steps=1)


def test_a_folder_that_cannot_be_made(fit, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SmrError, match=r"cannot write .*file/out/checkpoints: Not a directory$"):
        fit("file/out")


def test_a_model_without_weights(tmp_path, classes):
    spec = model(tmp_path, "model m { signal(channels=1)  pool }")
    data = npz(tmp_path, u=np.zeros((9, 4, 1)), y=np.zeros((9, 1)))
    with pytest.raises(SmrError, match=r"m\.smr:1:31: `m` has no weights, so that nothing can be learned"):
        train(spec, data, out=tmp_path / "out")


def test_clip_can_be_left_out(spec, classes, tmp_path):
    """The command line has a word for it."""
    from smrdsl.cli.main import run

    given = ["--data", str(classes), "--out", str(tmp_path / "out"), "--max-steps", "1", "--device", "cpu", "--quiet"]
    assert run(["train", str(spec), *given, "--clip", "none"]) == 0
    assert json.loads((tmp_path / "out/metrics.json").read_text(encoding="utf-8"))["settings"]["clip"] is None


def test_a_loss_that_is_no_number_is_traced_to_its_layer_and_step(fit, monkeypatch):
    """The second layer meets an overflow in the batch of step 4."""
    whole = Batches._batch

    def huge(self, rows, number):
        batch = whole(self, rows, number)
        return batch | {"u": batch["u"] * (1e38 if number == 3 else 1)}

    monkeypatch.setattr(Batches, "_batch", huge)
    message = (
        r"the loss is nan at step 4: .*tiny\.smr:4:14: norm\(layer\) \(norm\) is the first whose output is not finite"
    )
    with pytest.raises(NotFinite, match=message):
        fit("out")


def test_a_loss_that_is_no_number_on_what_is_held_out(tmp_path):
    spec = model(tmp_path, POOLED)
    part = np.arange(30) // 10
    u = np.where(part[:, None, None] == 1, 3e38, np.ones((30, 4, 1)))
    data = npz(tmp_path, u=u, y=np.arange(30) % 3, part=part)
    message = r"the loss on what is held out is nan at step 1: .*m\.smr:4:3: pool\(mean\) \(pool\) is the first"
    with pytest.raises(NotFinite, match=message):
        train(spec, data, out=tmp_path / "out", max_steps=1, device="cpu", log="none")


def test_a_gradient_that_is_too_large_to_be_measured(tmp_path):
    """Each of its numbers is finite, their squares are not."""
    data = npz(tmp_path, u=np.full((9, 4, 1), 1e25), y=np.arange(9) % 3)
    message = r"the gradient of step 1 is too large to be measured, most of all that of linear\.weight at .*m\.smr:3:3:"
    with pytest.raises(NotFinite, match=message):
        train(model(tmp_path, POOLED), data, out=tmp_path / "out", max_steps=1, device="cpu", log="none")


def test_weights_that_are_no_numbers_are_found(fit, spec):
    import smrdsl

    model = smrdsl.compile(spec, mode="train")
    with torch.no_grad():
        model.get_parameter("linear_2.weight")[0, 0] = torch.inf
    with pytest.raises(
        NotFinite, match=r"at step 1: .*tiny\.smr:6:3: linear\(3\) \(linear_2\): its weight is no longer"
    ):
        fit("out", spec=model)


def test_gradients_that_are_no_numbers_are_found(fit, spec):
    import smrdsl

    model = smrdsl.compile(spec, mode="train")
    model.get_parameter("norm.weight").register_hook(lambda gradient: gradient * torch.nan)
    message = (
        r"the gradient of step 1 is not finite, .* that of weight at .*tiny\.smr:4:14: norm\(layer\) \(norm\) first"
    )
    with pytest.raises(NotFinite, match=message):
        fit("out", spec=model)


IN_AN_OPERATOR = InputError("m.smr:3:3: linear(3) (linear): as torch said it")
IN_AN_OPERATOR.__cause__ = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA out of memory."), IN_AN_OPERATOR],
    ids=["cpu", "gpu", "in an operator"],
)
def test_out_of_memory_says_what_would_fit(error, fit, monkeypatch):
    def none_left(self, rows, number):
        raise error

    monkeypatch.setattr(Batches, "_batch", none_left)
    message = r"batches of 8 sequences of 16 on each device, .* to take \d.*; --batch 4 --accumulate 2 takes \d"
    with pytest.raises(SmrError, match=message):
        fit("out")


def test_a_device_that_is_not_there(fit):
    with pytest.raises(SmrError, match=r"cannot train on the device `abacus`: .*abacus"):
        fit("out", device="abacus")


def test_what_takes_long_to_make_is_not_made_for_a_model_of_another_kind(tmp_path, monkeypatch):
    monkeypatch.setenv("SMRDSL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(SmrError, match=r"m\.smr:2:3: signal.*: the model reads reals, listops has tokens"):
        train(model(tmp_path, POOLED), "listops", out=tmp_path / "out", max_steps=1)
    assert not (tmp_path / "cache").exists()


def test_tokens_have_no_grid(tmp_path):
    spec = model(tmp_path, "model m { tokens(vocab=5)  embed(2)  linear(5) }")
    data = npz(tmp_path, u=np.arange(45).reshape(9, 5) % 5)
    with pytest.raises(SmrError, match=r"own\.npz has no signals that could be sampled otherwise"):
        train(spec, data, out=tmp_path / "out", augment="mix")
