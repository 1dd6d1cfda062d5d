"""specs/train: every spec says its command, which the documentation has too, and its data fits it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import smrdsl
from smrdsl.training.job import Job, prepare

ROOT = Path(__file__).parent.parent.parent
SPECS = sorted((ROOT / "specs" / "train").glob("*.smr"))
SMALL = {"listops": {"train": 20, "held_out": 5, "max_args": 5}, "text": {"limit": 20_000}}


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_a_spec_says_how_it_is_trained(path, tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("statsmodels")
    (command,) = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#   smrdsl train")]
    _, _, _, file, *options = shlex.split(command)
    assert file == f"specs/train/{path.name}"
    assert f"`{path.name} {' '.join(options)}`" in (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    data = options[options.index("--data") + 1]
    ready = prepare(smrdsl.lower(path), Job(data=data, options=SMALL.get(data, {}), out=str(tmp_path / "out")))
    assert ready.steps > 0
