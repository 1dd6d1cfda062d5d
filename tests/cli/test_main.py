"""The command line as a whole: exit codes, one clear line for every way to fail, and never a traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from smrdsl import __version__
from smrdsl.cli import check as check_command
from smrdsl.cli.main import NOT_COMMANDS, run

GOOD = "model m(depth = 2) { signal(channels=2) repeat depth { gelu } }"
BAD = "model m { signal(channels=2) gelux }"


@pytest.fixture(autouse=True)
def specs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("good.smr").write_text(GOOD)
    Path("bad.smr").write_text(BAD)


def smrdsl(arguments: str, **options) -> subprocess.CompletedProcess:
    """The command in a process and a shell of its own, with which its streams are redirected."""
    command = f"{sys.executable} -m smrdsl {arguments}"
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, **options)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--version"], 0, f"smrdsl {__version__}"),
        (["--help"], 0, "compile"),
        (["check", "--help"], 0, "--explain"),
        ([], 2, "Usage: smrdsl"),
        (["chek", "good.smr"], 2, "no command `chek`, did you mean `check`?"),
        (["zzz"], 2, "no command `zzz`; there are bench, calibrate, check"),
        (["main"], 2, "no command `main`"),
        (["../check"], 2, "no command `../check`"),
        (["--frob"], 2, "--frob"),
        (["check", "--frmat", "json", "good.smr"], 2, "--frmat"),
        (["check", "good.smr"], 0, ""),
        (["check", "bad.smr"], 1, "E0202"),
        (["summary", "bad.smr"], 1, "E0202"),
    ],
)
def test_exit_codes(arguments, code, told, capsys):
    assert run(arguments) == code
    out, err = capsys.readouterr()
    assert told in (out if code == 0 else err)
    assert "Traceback" not in out + err


def test_every_file_here_is_a_command(capsys):
    import smrdsl.cli

    files = {p.stem for p in Path(smrdsl.cli.__file__).parent.glob("*.py")} - {*NOT_COMMANDS}
    run(["--help"])
    text = capsys.readouterr().out
    assert {"check", "compile", "fmt", "graph", "new", "ops", "summary"} <= files
    assert all(f"\n  {name} " in text for name in files)


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (KeyboardInterrupt(), 130, "stopped"),
        (RuntimeError("of ours"), 3, "internal failure: RuntimeError: of ours"),
        (AssertionError("a bug"), 3, "internal failure: AssertionError: a bug"),
        (RecursionError("deep"), 3, "internal failure: RecursionError: deep"),
        (OSError(28, "No space left on device", "there"), 1, "error: there: No space left on device"),
        (MemoryError(), 3, "internal failure: MemoryError"),
    ],
)
def test_what_a_command_may_raise(error, code, told, capsys, monkeypatch):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(check_command, "Resolver", fail)
    monkeypatch.delenv("SMRDSL_DEBUG", raising=False)
    assert run(["check", "good.smr"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert ("please report it with the spec: https://" in err) == (code == 3)
    assert "Traceback" not in err


def test_debugging_shows_the_traceback(monkeypatch):
    def fail(*arguments):
        raise RuntimeError("of ours")

    monkeypatch.setattr(check_command, "Resolver", fail)
    monkeypatch.setenv("SMRDSL_DEBUG", "1")
    with pytest.raises(RuntimeError, match="of ours"):
        run(["check", "good.smr"])


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        (["--set", "depth"], 2, "--set depth: write NAME=VALUE"),
        (["--set", "=2"], 2, "write NAME=VALUE"),
        (["--set", "a b=2"], 2, "write NAME=VALUE"),
        (["--set", "depth="], 2, "`` is no value of the language"),
        (["--set", "depth=2 3"], 2, "`2 3` is no value of the language"),
        (["--set", "depth=2 let x = 3"], 2, "is no value of the language"),
        (["--set", "depth=(2"], 2, "is no value of the language"),
        (["--set", "depth=1 / 0"], 2, "division by zero"),
        (["--set", "depht=2"], 1, "no parameter `depht`, did you mean `depth`?"),
        (["--set", "depth=2.5"], 1, "good.smr:1:48: error E0304"),
        (["--set", "depth=word"], 1, "--set:1:13: error E0201: unknown name `word`"),
        (["--set", "depth=-1"], 1, "E0305"),
        (["--limit", "nodes"], 2, "--limit nodes: a whole number of at least 1"),
        (["--limit", "nodes=-5"], 2, "a whole number of at least 1"),
        (["--limit", "nodes=1e999"], 2, "a whole number of at least 1"),
        (["--limit", "nodes=nan"], 2, "a whole number of at least 1"),
        (["--limit", "leaves=2"], 2, "there are the limits text, nodes, parameters, depth"),
        (["--limit", "nodes=1"], 1, "E0702"),
        (["--limit", "text=10"], 1, "good.smr has 63 bytes of text, more than 10"),
        (["--model", "n"], 1, "E0209"),
    ],
)
def test_options_of_all_commands_that_take_a_model(given, code, told, capsys):
    assert run(["summary", "good.smr", *given]) == code
    out, err = capsys.readouterr()
    assert told in err
    assert out == ""


def test_options_that_hold(capsys):
    given = ["--set", "depth=2 + 1  # a comment", "--limit", "nodes=1_000", "--limit", "text=1e3"]
    assert run(["summary", "good.smr", "--model", "m", *given]) == 0
    assert capsys.readouterr().out.startswith("m(depth=3)")


def test_models_are_listed_or_guessed(capsys):
    Path("two.smr").write_text(GOOD + GOOD.replace("m(", "other("))
    run(["summary", "two.smr", "--model", "zzz"])
    assert "no model `zzz` in this file; it has m, other" in capsys.readouterr().err
    run(["summary", "two.smr", "--model", "othr"])
    assert "no model `othr` in this file, did you mean `other`?" in capsys.readouterr().err


def test_streams_that_are_closed_or_full():
    for arguments in ("ops >&-", "ops <&-", "check good.smr 2>&-", "check - <&-"):
        done = smrdsl(arguments)
        assert (done.returncode, done.stderr) == (0, ""), arguments
    assert smrdsl("check bad.smr 2>&-").returncode == 1
    if Path("/dev/full").exists():
        done = smrdsl("ops > /dev/full")
        assert (done.returncode, done.stderr) == (1, "error: No space left on device\n")
        assert smrdsl("summary bad.smr 2> /dev/full").returncode == 1


def test_readers_that_stop_early():
    for arguments in ("ops | head -n 1", "check bad.smr --format json | true", "summary bad.smr 2>&1 | true"):
        done = smrdsl(f"{arguments}; exit ${{PIPESTATUS[0]}}")
        assert (done.returncode, done.stderr) == (0, ""), arguments


def test_ctrl_c_while_it_waits_for_a_spec():
    command = [sys.executable, "-m", "smrdsl", "check", "-"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, preexec_fn=heed_ctrl_c
    ) as process:
        wait_until_it_reads(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().strip() == b"stopped"
        assert process.wait(10) == 130


def heed_ctrl_c() -> None:
    """Who runs the tests in the background ignores Ctrl-C, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_until_it_reads(pid: int) -> None:
    """Until the process sleeps in a read of its standard input."""
    import time

    state = Path(f"/proc/{pid}/syscall")
    if not state.exists():
        pytest.skip("needs Linux's /proc")
    for _ in range(500):
        number, first, *_ = [*state.read_text().split(), "", ""]
        if (number, first) == ("0", "0x0"):  # read(0, ...)
            return
        time.sleep(0.02)
    pytest.fail("it never reads")


def test_names_in_other_alphabets_and_encodings():
    Path("線形.smr").write_text("model m { signal(channels=1) } # 線形", encoding="utf-8")
    Path("модель.smr").write_text(BAD)
    done = smrdsl("check 線形.smr модель.smr")
    assert done.returncode == 1
    assert done.stderr.startswith("модель.smr:1:30: error E0202")
    plain = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = smrdsl("fmt - < 線形.smr", env=plain)
    assert (done.returncode, done.stdout) == (0, "model m { signal(channels=1) }  # 線形\n")
    assert smrdsl("check --format github модель.smr", env=plain).returncode == 1
