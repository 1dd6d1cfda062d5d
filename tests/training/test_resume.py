"""A training that was cut off goes on to the same numbers, and a checkpoint is there whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from smrdsl.core.errors import SmrError
from smrdsl.training import keep
from smrdsl.training.batches import Batches
from smrdsl.training.job import Stopped


class Killed(BaseException):
    """What no code of ours catches, as a power cut."""


@pytest.fixture
def cut(monkeypatch):
    """Lets a training end without a word when it asks for a batch of this number."""
    whole = Batches.__iter__

    def at(number: int) -> None:
        def some(self: Batches) -> Iterator:
            for batch in whole(self):
                if batch["number"] == number:
                    monkeypatch.setattr(Batches, "__iter__", whole)
                    raise Killed
                yield batch

        monkeypatch.setattr(Batches, "__iter__", some)

    return at


def weights(trained):
    return trained.model.state_dict()


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("numbers", [(4,), (6, 9), (10,)], ids=str)
@pytest.mark.parametrize("more", [{}, {"accumulate": 2, "patience": 9, "augment": "mix"}], ids=["plain", "much"])
def test_what_was_cut_off_goes_on_to_the_same_numbers(fit, cut, numbers, more):
    at_once = fit("once", **more)
    for i, number in enumerate(numbers):
        cut(number)
        with pytest.raises(Killed):
            fit("parts", save_every=1, resume=i > 0, **more)
    parts = fit("parts", save_every=1, resume=True, **more)
    assert same(weights(at_once), weights(parts))
    for name in ("valid", "test", "best_step", "steps"):
        assert at_once.metrics[name] == parts.metrics[name]
    last = [torch.load(t.folder / "checkpoints" / "last.ckpt", weights_only=True) for t in (at_once, parts)]
    assert same(last[0]["state_dict"], last[1]["state_dict"])


@pytest.mark.parametrize(
    "more", [{}, {"max_steps": 90, "evaluate_every": 2, "patience": 1, "lr": 1e-9}], ids=["", "early"]
)
def test_a_finished_training_that_is_resumed_stays_as_it_is(fit, more):
    first, again = fit("out", **more), fit("out", resume=True, **more)
    assert first.metrics["steps"] == again.metrics["steps"]
    assert same(weights(first), weights(again))
    assert first.metrics["test"] == again.metrics["test"]


def test_ctrl_c_keeps_a_checkpoint_and_says_so(fit, monkeypatch):
    whole = Batches.__iter__

    def some(self):
        for batch in whole(self):
            if batch["number"] == 7:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    at_once = fit("once")
    monkeypatch.setattr(Batches, "__iter__", some)
    with pytest.raises(Stopped, match=r"stopped at step 8; .*last\.ckpt holds it, and --resume goes on"):
        fit("out")
    monkeypatch.setattr(Batches, "__iter__", whole)
    assert same(weights(at_once), weights(fit("out", resume=True)))


def test_ctrl_c_twice_stops_at_once(fit, monkeypatch):
    whole = Batches.__iter__

    def some(self):
        for batch in whole(self):
            if batch["number"] == 7:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    monkeypatch.setattr(Batches, "__iter__", some)
    with pytest.raises(Stopped, match=r"^stopped at once; --resume goes on from .*last\.ckpt$"):
        fit("out")


def test_patience_may_be_another_when_a_training_goes_on(fit):
    """It ended by the old one; by the new one it goes on."""
    more = {"max_steps": 30, "evaluate_every": 2, "lr": 1e-9}
    assert fit("out", patience=2, **more).metrics["steps"] == 6
    assert fit("out", patience=4, resume=True, **more).metrics["steps"] == 10
    assert fit("out", resume=True, **more).metrics["steps"] == 30


def test_a_full_disk_leaves_the_checkpoint_before(fit, monkeypatch, tmp_path):
    written = keep.write_whole

    def full(path: Path, data: bytes) -> None:
        if path.name == "last.ckpt" and path.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written(path, data)

    monkeypatch.setattr(keep, "write_whole", full)
    message = r"cannot write .*out: No space left on device; .*last\.ckpt is whole, and --resume goes on from it"
    with pytest.raises(SmrError, match=message):
        fit("out")
    monkeypatch.setattr(keep, "write_whole", written)
    assert fit("out", resume=True).metrics["steps"] == 12


def test_a_process_that_is_killed_while_it_writes_leaves_the_checkpoint_before(fit, monkeypatch, tmp_path):
    """The machine goes while the file is written: what was there stays, and the training goes on from it."""
    fit("once")
    written = keep.write_whole

    def torn(path: Path, data: bytes) -> None:
        if path.name == "last.ckpt" and path.exists():
            (path.parent / f".{path.name}.half").write_bytes(data[: len(data) // 2])
            raise Killed
        written(path, data)

    monkeypatch.setattr(keep, "write_whole", torn)
    with pytest.raises(Killed):
        fit("out", save_every=2)
    monkeypatch.setattr(keep, "write_whole", written)
    assert keep.read_checkpoint(tmp_path / "out/checkpoints/last.ckpt")["global_step"] == 2
    fit("out", save_every=2, resume=True)
    assert sorted(p.name for p in (tmp_path / "out/checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_a_checkpoint_of_something_else_is_refused(fit, classes, tmp_path):
    fit("out")
    (tmp_path / "other").mkdir()
    with pytest.raises(SmrError, match=r"holds a training already: --resume goes on"):
        fit("out")
    with pytest.raises(SmrError, match=r"belongs to another spec; train into another folder"):
        fit("out", resume=True, set={"width": 8})
    with pytest.raises(SmrError, match=r"other settings: lr was 0\.01, is 0\.02"):
        fit("out", resume=True, lr=0.02)
    with pytest.raises(SmrError, match=r"there is no checkpoint to resume from"):
        fit("new", resume=True)
    with np.load(classes) as file:
        np.savez(tmp_path / "other/waves.npz", u=file["u"], y=(file["y"] + 1) % 3)
    with pytest.raises(SmrError, match=r"belongs to another content of the data; train into another folder"):
        fit("out", resume=True, data=str(tmp_path / "other/waves.npz"))


class Harm:
    """What runs when it is read as any pickle."""

    def __reduce__(self):
        return os.mkdir, ("harm",)


ODD = {
    "cut off": (
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        "no checkpoint that can be read: it was cut off",
    ),
    "empty": (lambda path: path.write_bytes(b""), "no checkpoint that can be read: it was cut off"),
    "what runs": (lambda path: torch.save({"state_dict": Harm()}, path), "no checkpoint that can be read: it was cut"),
    "weights alone": (lambda path: torch.save({"state_dict": {}}, path), "no checkpoint of smrdsl train"),
    "another version": (
        lambda path: torch.save(torch.load(path) | {"smrdsl": '{"identity": {}, "settings": {"momentum": 1}}'}, path),
        "is of another version of smrdsl",
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_a_checkpoint_that_is_not_in_order(case, fit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit("out", max_steps=1)
    spoil, message = ODD[case]
    spoil(tmp_path / "out/checkpoints/last.ckpt")
    with pytest.raises(SmrError, match=message):
        fit("out", max_steps=1, resume=True)
    assert not Path("harm").exists()
