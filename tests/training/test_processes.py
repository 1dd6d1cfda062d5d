"""Two processes over gloo train to the loss of one, and when one dies the other ends soon, with a reason."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from smrdsl.core.errors import SmrError
from smrdsl.training import launch
from smrdsl.training.job import Stopped
from smrdsl.training.launch import LOST, _watch


def test_two_processes_reach_what_one_does(fit):
    """The same batches over both, without dropout: gradients differ by rounding only."""
    more = {"max_steps": 6, "evaluate_every": 3, "precision": "64"}
    text = "model m { signal(channels=1)  linear(4)  s4d(state=4)  pool(mean)  linear(3) }"
    one, two = (fit(f"out{n}", spec=_spec(fit, text), devices=n, **more) for n in (1, 2))
    for name in ("loss", "accuracy"):
        assert two.metrics["test"][name] == pytest.approx(one.metrics["test"][name], rel=1e-9)
    theirs = two.model.state_dict()
    for name, tensor in one.model.state_dict().items():
        torch.testing.assert_close(theirs[name], tensor, rtol=1e-8, atol=1e-9)


def _spec(fit, text):
    import smrdsl

    return smrdsl.compile_text(text, mode="train", dtype="float64")


def test_when_one_dies_the_other_ends_with_the_reason(fit, monkeypatch):
    """The second process is killed when it runs; the first cannot go on, and must not wait for ever."""
    started = launch._start

    def one_dies(world, told):
        processes = started(world, told)
        threading.Timer(1.0, processes[1].kill).start()
        return processes

    monkeypatch.setattr(launch, "_start", one_dies)
    since = time.monotonic()
    with pytest.raises(SmrError, match="process 1 of the training: it was ended by SIGKILL; the others were stopped"):
        fit("out", devices=2, max_steps=100_000)
    assert time.monotonic() - since < 30


def test_who_only_lost_the_others_is_not_to_blame(monkeypatch):
    monkeypatch.setattr(launch, "POLL", 0.01)
    first = subprocess.Popen([sys.executable, "-c", f"import sys; sys.exit({LOST})"])
    second = subprocess.Popen([sys.executable, "-c", "import time, os; time.sleep(0.3); os.kill(os.getpid(), 11)"])
    assert _watch([first, second]) == 1
    assert second.returncode == -signal.SIGSEGV
    first.wait()


def test_ctrl_c_ends_a_process_that_has_not_begun_without_a_word(tmp_path, capfd):
    """As soon as it is there, and long before it has something to keep."""
    (process,) = launch._start(1, tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == -signal.SIGINT
    assert capfd.readouterr().err == ""
    reason = launch._reason(0, process.returncode, tmp_path)
    assert isinstance(reason, Stopped)
    assert str(reason) == "stopped"


def test_a_mistake_in_a_process_is_told_as_it_is(fit, monkeypatch):
    """What only shows in the processes, such as a loss that is no number in the share of the second."""
    worker = (
        "import os, pathlib, sys, time\n"
        "if os.environ['RANK'] == '0': time.sleep(60)\n"
        "pathlib.Path(sys.argv[1], 'error1.txt').write_text('the loss is nan at step 3')\n"
        "sys.exit(1)"
    )
    whole = subprocess.Popen

    def other(command, **more):
        return whole([command[0], "-c", worker, command[-1]], **more)

    monkeypatch.setattr(launch.subprocess, "Popen", other)
    with pytest.raises(SmrError, match="process 1 of the training: the loss is nan at step 3; the others were stopped"):
        fit("out", devices=2)
