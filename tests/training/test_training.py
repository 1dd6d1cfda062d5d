"""A training learns what it should, by every task and setting, and leaves all that it promises."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
import torch
from rich.console import Console

import smrdsl
from smrdsl.data.contract import Part
from smrdsl.data.grids import grid
from smrdsl.training import progress
from smrdsl.training.batches import Batches, Reader, Rows, answers, resampled
from smrdsl.training.learner import rate_of
from smrdsl.training.settings import Settings


def test_classes_are_learned_and_all_is_left_in_the_folder(fit):
    trained = fit("out", max_steps=150, lr=2e-2, log="csv")
    assert trained.metrics["test"]["accuracy"] >= 0.8
    assert trained.metrics["baselines"][0]["value"] < 0.6
    assert json.loads((trained.folder / "metrics.json").read_text(encoding="utf-8")) == trained.metrics
    again = smrdsl.load(trained.folder / "model")
    u = torch.randn(2, 16, 1)
    assert torch.equal(again(u), trained.model(u))
    log = (trained.folder / "logs/version_0/metrics.csv").read_text(encoding="utf-8").splitlines()
    assert {"step", "train/loss", "lr", "valid/accuracy"} <= set(log[0].split(","))
    assert len(log) > 20


def test_a_bar_on_a_terminal_and_lines_elsewhere(fit, monkeypatch, capsys):
    fit("lines", quiet=False)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["step 5 of 12", "step 10 of 12", "step 12 of 12"]
    assert "; held out:  loss " in lines[0]
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=80)
    monkeypatch.setattr(progress, "Console", lambda stderr: terminal)
    fit("bar", quiet=False)
    assert "step 12 of 12 loss " in screen.getvalue()
    assert "held out: accuracy 0." in screen.getvalue()
    assert "…" not in screen.getvalue()
    assert capsys.readouterr().err == ""


def test_a_seed_gives_the_same_training_again(fit):
    one, again, other = (fit(f"out{i}", seed=seed) for i, seed in enumerate((1, 1, 2)))
    assert one.metrics["test"] == again.metrics["test"] != other.metrics["test"]


def test_the_last_step_is_judged_too(fit):
    assert fit("out", max_steps=7, evaluate_every=5, lr=1e-3).metrics["best_step"] in (5, 7)
    last = torch.load(fit("o2", max_steps=7, evaluate_every=5).folder / "checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == 7


def test_early_stopping_keeps_the_best(fit):
    trained = fit("out", max_steps=100, evaluate_every=2, patience=2, lr=1e-9)
    assert trained.metrics["steps"] < 20
    assert trained.metrics["best_step"] == 2


@pytest.mark.parametrize("precision", ["bf16", "64"])
def test_precisions(fit, precision):
    trained = fit("out", precision=precision)
    assert math.isfinite(trained.metrics["test"]["loss"])
    assert trained.model.get_parameter("linear.weight").dtype == (torch.float64 if precision == "64" else torch.float32)


def test_tensorboard(fit):
    pytest.importorskip("tensorboard")
    assert list(fit("out", log="tensorboard").folder.glob("logs/version_0/events*"))


def test_accumulation_is_the_larger_batch(fit):
    """Without dropout, a batch of 8 is two of 4 whose gradients are added up."""
    large = fit("large", set={"width": 6}, batch=8, max_steps=1, evaluate_every=1, seed=3, schedule="constant")
    assert large.metrics["steps"] == 1
    assert fit("small", batch=4, accumulate=2, max_steps=3, evaluate_every=4).metrics["steps"] == 3


def test_tokens_are_told_in_bits(tmp_path):
    (tmp_path / "lm.smr").write_text("model lm { tokens(vocab=256)  embed(8)  s4d(state=4)  linear(256) }", "utf-8")
    (tmp_path / "text").write_bytes(b"abcd" * 400)
    trained = smrdsl.train(tmp_path / "lm.smr", f"text:{tmp_path / 'text'}", out=tmp_path / "out", length=16,
                           device="cpu", max_steps=40, batch=8, lr=3e-2, log="none")  # fmt: skip
    test = trained.metrics["test"]
    assert test["bits_per_byte"] == pytest.approx(test["loss"] / math.log(2))
    assert test["bits_per_byte"] < 2
    assert {b["name"] for b in trained.metrics["baselines"]} == {"bz2", "4-gram"}


def test_reals_are_told_in_their_unit_and_gaps_reach_a_timed_model(tmp_path):
    spec = "model m { signal(channels=1, timed=true)  linear(4)  s4d(state=4)  linear(1) }"
    (tmp_path / "m.smr").write_text(spec, encoding="utf-8")
    rng = np.random.default_rng(0)
    t = np.cumsum(rng.choice([1.0, 1.0, 3.0], 300)) * 7
    np.savez(tmp_path / "own.npz", u=np.sin(t / 20), t=t)
    trained = smrdsl.train(tmp_path / "m.smr", tmp_path / "own.npz", out=tmp_path / "out", length=20, device="cpu",
                           max_steps=4, batch=4, log="none", augment="jitter=0.3")  # fmt: skip
    test = trained.metrics["test"]
    assert test["rmse"] == pytest.approx(math.sqrt(test["loss"]))
    assert trained.metrics["baselines"][0]["name"] == "persistence"


def test_pairs(tmp_path):
    spec = "model m { signal(channels=1, pair=true)  linear(4)  pool  match  linear(2) }"
    (tmp_path / "m.smr").write_text(spec, encoding="utf-8")
    u, y = np.random.default_rng(0).normal(size=(20, 2, 6, 1)), np.arange(20) % 2
    np.savez(tmp_path / "own.npz", u=u, y=y, lengths=np.tile([6, 4], (20, 1)))
    trained = smrdsl.train(tmp_path / "m.smr", str(tmp_path / "own.npz"), out=tmp_path / "out", device="cpu",
                           max_steps=3, batch=4, log="none")  # fmt: skip
    assert trained.metrics["task"] == "classes"


def test_rates_rise_and_fall_as_the_schedule_says():
    rate = rate_of(Settings(warmup=0.1), 100)
    assert [round(rate(i), 2) for i in (0, 9, 10, 55, 99)] == [0.1, 1.0, 1.0, 0.5, 0.01]
    assert rate_of(Settings(schedule="linear", warmup=0.0), 10)(5) == 0.5
    assert rate_of(Settings(schedule="constant", warmup=0.0), 10)(9) == 1.0


def _batches(part, read, **more):
    return Batches(part, read, **{"batch": 8, "total": 20, "seed": 1} | more)


def test_processes_share_out_what_one_would_see(classes):
    from smrdsl.data.registry import load

    data = load(str(classes))
    read = Reader.of(data, timed=False, double=False)
    for on in (None, grid("mix")):
        one = list(_batches(data.train, read, grid=on))
        two = [list(_batches(data.train, read, grid=on, rank=r, world=2)) for r in range(2)]
        for whole, *parts in zip(one, *two, strict=True):
            assert sorted(torch.cat([p["y"] for p in parts])) == sorted(whole["y"])
            assert sum(answers(p) for p in parts) == answers(whole) == whole["share"] == 2 * parts[0]["share"]
    rows = [Rows(data.valid, read, 4, r, 4) for r in range(4)]
    assert sum(len(b["y"]) for r in rows for b in r) == len(data.valid)


def test_every_pass_meets_every_sequence_in_an_order_of_its_own(classes):
    from smrdsl.data.registry import load

    data = load(str(classes))
    read = Reader.of(data, timed=False, double=False)
    assert _batches(data.train, read, batch=12).per_pass == 8
    seen = [b["u"][:, 0, 0].tolist() for b in _batches(data.train, read, batch=12, total=16)]
    first, second = (sorted(x for batch in half for x in batch) for half in (seen[:8], seen[8:]))
    assert first == second == sorted(data.train.u[:, 0, 0].tolist())
    assert seen[:8] != seen[8:]


def test_a_grid_is_drawn_through_what_was_recorded(classes):
    """Between samples there are straight lines; what lies behind the end of a sequence is not counted."""
    line = np.arange(8.0, dtype=np.float32)[None, :, None]
    part = Part(3 * line, line, 7 * line[..., 0], np.array([6]))
    u, y, gaps, lengths = resampled(part, np.array([0]), grid("rate=1.5"), np.random.default_rng(0), 7.0)
    assert lengths is not None
    n = int(lengths[0])
    assert n == 4  # at 0.5, 2, 3.5 and 5, the last of six samples
    np.testing.assert_allclose(u[0, :n, 0], 3 * np.array([0.5, 2, 3.5, 5]))
    np.testing.assert_allclose(y[0, :n, 0], [0.5, 2, 3.5, 5])
    np.testing.assert_allclose(gaps[0, 1:n], 1.5)


def test_a_class_for_each_sample_stays_with_its_sample():
    """On another grid a sample has the class of the one next to it."""
    part = Part(np.arange(9.0)[None, :, None], np.arange(9)[None])
    u, y, _, lengths = resampled(part, np.array([0]), grid("rate=1.8"), np.random.default_rng(0), 1.0)
    assert lengths is not None
    n = int(lengths[0])
    assert y[0, :n].tolist() == np.rint(u[0, :n, 0]).astype(int).tolist() == [1, 3, 4, 6, 8]


def test_a_sequence_of_one_sample_has_no_gap(tmp_path):
    from smrdsl.data.registry import load

    np.savez(tmp_path / "one.npz", u=np.zeros((4, 1, 1)), y=np.arange(4) % 2, t=np.zeros((4, 1)))
    assert Reader.of(load(str(tmp_path / "one.npz")), timed=True, double=False).step == 1
