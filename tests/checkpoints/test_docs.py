"""docs/checkpoints.md is true: its commands run, one after the other, as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import smrdsl
from smrdsl.checkpoints.contract import Format
from smrdsl.checkpoints.formats import FORMATS
from smrdsl.cli.main import run
from tests.checkpoints.tiny import checkpoint, same, spec

PAGE = (Path(__file__).parent.parent.parent / "docs" / "checkpoints.md").read_text(encoding="utf-8")


def test_its_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = checkpoint(Path("mamba-130m"))
    commands = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S) for line in block.splitlines()]
    assert len(commands) == 4
    for command in commands:
        name, *arguments = shlex.split(command)
        assert name == "smrdsl"
        assert run(arguments) == 0, command
    for package in ("build/lm", "build/lm_smr"):
        assert same(smrdsl.load(package), wanted)
    assert same(smrdsl.compile("lm.smr", weights="exported", mode="infer"), wanted)


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_its_table_has_every_tensor(format: Format) -> None:
    for key in format.tensors:
        assert key.removesuffix(".weight").removesuffix(".bias") in PAGE, key


def test_its_error_is_what_is_told(tmp_path: Path) -> None:
    checkpoint(tmp_path / "ck")
    with pytest.raises(smrdsl.SmrError) as told:
        smrdsl.compile_text(spec().replace("state=4", "state=2"), weights=tmp_path / "ck")
    first, second, *_ = str(told.value).splitlines()
    assert first == f"E0901: {tmp_path}/ck/model.safetensors does not fit the model:"
    assert second == "  backbone.layers.0.mixer.A_log: wanted (32, 2), found (32, 4)"
