"""`smrdsl train`: figures for people and programs, exit codes, and nothing heavy before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from smrdsl.cli.main import run

SPEC = "model m { signal(channels=1)  linear(4)  s4d(state=4)  pool(mean)  linear(2) }"
COMMAND = [
    "train",
    "m.smr",
    "--data",
    "own.npz",
    "--max-steps",
    "4",
    "--batch",
    "5",
    "--device",
    "cpu",
    "--log",
    "none",
]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("m.smr").write_text(SPEC, encoding="utf-8")
    y = np.arange(30) % 2
    np.savez("own.npz", u=np.random.default_rng(0).normal(size=(30, 8, 1)) + y[:, None, None], y=y)


def test_it_tells_what_was_reached_beside_the_baseline(capsys):
    assert run(COMMAND) == 0
    out, err = capsys.readouterr()
    assert out.startswith("m on own.npz: accuracy ")
    assert "majority class" in out
    assert "package  build/train/m/model" in out
    assert "step 4 of 4: loss" in err
    assert "\x1b" not in out + err
    assert Path("build/train/m/model/model.py").is_file()


def test_a_program_reads_it(capsys):
    assert run([*COMMAND, "--out", "here", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    told = json.loads(out)
    assert (told["out"], told["steps"], told["metric"]) == ("here", 4, "accuracy")
    assert told == json.loads(Path("here/metrics.json").read_text(encoding="utf-8")) | {"out": "here"}


def test_quiet(capsys):
    assert run([*COMMAND, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--lr", "0"], 2, "lr: Input should be greater than 0"),
        (["--epochs", "1"], 2, "epochs and max_steps exclude each other"),
        (["-O", "stride"], 2, "-O stride: write NAME=VALUE"),
        (["--schedule", "sine"], 2, "'sine' is not one of"),
        (["--resume"], 1, "there is no checkpoint to resume from"),
        (["--data", "nothing"], 1, "no data set `nothing`"),
        (["--data", "text"], 1, "m.smr:1:11: signal(channels=1): the model reads reals, text has tokens"),
    ],
)
def test_mistakes(more, code, message, capsys):
    assert run([*COMMAND, *more]) == code
    assert message in capsys.readouterr().err
    assert not Path("build").exists()


def test_the_data_sets_are_listed(capsys):
    assert run(["train", "--list-data"]) == 0
    out = capsys.readouterr().out
    assert "\ndigits\n    Handwritten digits" in out
    assert "text[:A FILE OR A FOLDER]" in out
    assert "-O max_args=10" in out


def test_a_mistake_is_found_without_torch_and_lightning():
    """Reading the spec and the data and holding them against each other takes neither."""
    code = (
        "import sys; from smrdsl.cli.main import run; "
        f"code = run({[*COMMAND, '--data', 'text:m.smr', '--length', '8']!r}); "
        "assert code == 1; assert 'torch' not in sys.modules; assert 'lightning' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
