"""`smrdsl fmt`: one style, in place, whole or not at all."""

import errno
import io
import os
import sys
from pathlib import Path

import pytest

from smrdsl.cli.main import run
from smrdsl.core import write

LOOSE = "model m{signal( channels = 1 )\n\n\n  gelu}  # note\n"
TIGHT = "model m {\n  signal(channels=1)\n\n  gelu\n}  # note\n"


@pytest.fixture(autouse=True)
def specs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("loose.smr").write_text(LOOSE)
    Path("tight.smr").write_text(TIGHT)


def listing() -> list[str]:
    return sorted(p.name for p in Path().iterdir())


def test_in_place_and_again_changes_nothing(capsys):
    os.chmod("loose.smr", 0o640)
    assert run(["fmt", "loose.smr", "tight.smr"]) == 0
    assert capsys.readouterr() == ("", "")
    assert Path("loose.smr").read_text() == TIGHT
    assert Path("loose.smr").stat().st_mode & 0o777 == 0o640
    before = Path("loose.smr").stat().st_ino
    assert run(["fmt", "loose.smr"]) == 0
    assert Path("loose.smr").stat().st_ino == before, "a file in the style is not written"
    assert listing() == ["loose.smr", "tight.smr"]


def test_check_and_diff_write_nothing(capsys):
    assert run(["fmt", "--check", "tight.smr"]) == 0
    assert run(["fmt", "--check", "loose.smr", "tight.smr"]) == 1
    assert capsys.readouterr() == ("", "loose.smr would change\n")
    assert run(["fmt", "--diff", "loose.smr", "tight.smr"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("--- loose.smr\n+++ loose.smr (formatted)\n@@ ")
    assert "-model m{signal( channels = 1 )\n" in out
    assert "+  signal(channels=1)\n" in out
    assert err == ""
    assert run(["fmt", "--check", "--diff", "loose.smr"]) == 1
    assert Path("loose.smr").read_text() == LOOSE


def test_a_diff_of_a_file_without_a_last_line_end(capsys):
    Path("open.smr").write_text("model m { signal(channels=1) }")
    run(["fmt", "--diff", "open.smr"])
    line = "model m { signal(channels=1) }"
    assert capsys.readouterr().out.endswith(f"-{line}\n+{line}\n")


def test_standard_input(capsysbinary, monkeypatch):
    for arguments, code, out in (([], 0, TIGHT), (["--check"], 1, "")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LOOSE.replace("note", "線").encode())))
        assert run(["fmt", "-", *arguments]) == code
        assert capsysbinary.readouterr().out.decode() == out.replace("note", "線")


def test_windows_line_ends_become_ours():
    Path("loose.smr").write_bytes(LOOSE.replace("\n", "\r\n").encode())
    assert run(["fmt", "loose.smr"]) == 0
    assert Path("loose.smr").read_bytes() == TIGHT.encode()


def test_mistakes_leave_the_file_and_do_not_stop_the_others(capsys):
    Path("wrong.smr").write_text("model m { signal( }")
    assert run(["fmt", "missing.smr", "wrong.smr", "loose.smr"]) == 1
    err = capsys.readouterr().err
    assert "cannot read missing.smr" in err
    assert "wrong.smr:1:" in err
    assert Path("wrong.smr").read_text() == "model m { signal( }"
    assert Path("loose.smr").read_text() == TIGHT


def test_a_limit_may_be_raised(capsys):
    Path("long.smr").write_text(LOOSE + "#" * 1_000_000)
    assert run(["fmt", "long.smr"]) == 1
    assert "E0701" in capsys.readouterr().err
    assert run(["fmt", "long.smr", "--limit", "text=2_000_000"]) == 0
    assert run(["fmt", "long.smr", "--limit", "text=x"]) == 2


def test_a_link_stays_a_link():
    Path("link.smr").symlink_to("loose.smr")
    assert run(["fmt", "link.smr"]) == 0
    assert Path("link.smr").is_symlink()
    assert Path("loose.smr").read_text() == TIGHT


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(step, capsys, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(write.os, step, full)
    assert run(["fmt", "loose.smr"]) == 1
    told = capsys.readouterr().err
    assert told == "loose.smr: error E0604: cannot write loose.smr: No space left on device\n"
    assert Path("loose.smr").read_text() == LOOSE
    assert listing() == ["loose.smr", "tight.smr"]
