"""`smrdsl check`: all diagnostics of all files, told to people and to programs, without torch."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from smrdsl.cli.main import run
from smrdsl.cli.output import STYLES, as_text, visible
from smrdsl.core.errors import Diagnostic
from smrdsl.core.source import Source, Span

GOOD = "model m { signal(channels=2) }\n"
BAD = "model m {\n\tsignal(channels=2)\n\t\tgelux\tliner(3)\n}\n"


@pytest.fixture(autouse=True)
def specs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("good.smr").write_text(GOOD)
    Path("bad.smr").write_text(BAD)


def given(text: str | bytes, monkeypatch) -> None:
    data = text.encode() if isinstance(text, str) else text
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_marks_stand_below_what_is_wrong_with_tabs_too(capsys):
    assert run(["check", "bad.smr"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "bad.smr:3:3: error E0202: unknown operator `gelux`, did you mean `gelu`?",
        "  3 | \t\tgelux\tliner(3)",
        "    | \t\t^^^^^",
        "  fix: write `gelu`",
        "bad.smr:3:9: error E0202: unknown operator `liner`, did you mean `linear`?",
        "  3 | \t\tgelux\tliner(3)",
        "    | \t\t     \t^^^^^",
        "  fix: write `linear`",
    ]


def test_marks_below_wide_letters_are_wide():
    text = "gelu 線形 x\u0301 gelux"
    start = text.index("gelux")
    lines = as_text(Diagnostic("E0202", "m", Span(Source("a", text), start, start + 5)), io.StringIO())
    assert lines.splitlines()[-1] == "    | " + " " * (5 + 4 + 1 + 1 + 1) + "^^^^^"
    lines = as_text(Diagnostic("E0102", "m", Span(Source("a", text), 5, 7)), io.StringIO())
    assert lines.splitlines()[-1] == "    |      ^^^^"


def test_several_files_and_some_are_missing(capsys):
    assert run(["check", "missing.smr", "good.smr", "bad.smr", "gone.smr"]) == 1
    told = [line.split(" ")[0] for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert told == ["missing.smr:", "bad.smr:3:3:", "bad.smr:3:9:", "gone.smr:"]


def test_what_is_wrong_in_an_import_is_told_once(capsys):
    Path("lib.smr").write_text("component c { gelux }")
    for name in ("a.smr", "b.smr"):
        Path(name).write_text('import "lib.smr"\nmodel m { signal(channels=1) c }')
    assert run(["check", "a.smr", "b.smr"]) == 1
    assert capsys.readouterr().err.count("unknown operator") == 1


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("missing.smr", "cannot read missing.smr: No such file or directory"),
        ("good.smr/x.smr", "cannot read good.smr/x.smr: Not a directory"),
        (".", ". is a directory; name a .smr file"),
        ("nul\0.smr", "cannot read nul\ufffd.smr: embedded null byte"),
        ("x" * 5000, "File name too long"),
        ("pipe.smr", "pipe.smr is not a regular file"),
        ("junk.smr", "junk.smr is not UTF-8 text: byte 2 is 0xff"),
        ("big.smr", "big.smr has 10,000,000 bytes of text, more than 1,000,000"),
    ],
)
def test_files_that_cannot_be_read(name, told, capsys):
    os.mkfifo("pipe.smr")
    Path("junk.smr").write_bytes(b"m\xff\x00\xfe")
    Path("big.smr").write_bytes(b" " * 10_000_000)
    assert run(["check", name]) == 1
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1


def test_standard_input(capsys, monkeypatch):
    given(BAD, monkeypatch)
    assert run(["check", "-"]) == 1
    assert "<stdin>:3:3: error E0202" in capsys.readouterr().err
    Path("lib.smr").write_text("component c { gelu }")
    given('import "lib.smr"\nmodel m { signal(channels=1) c }', monkeypatch)
    assert run(["check", "-"]) == 0
    given(b"\xff", monkeypatch)
    assert run(["check", "-", "missing.smr"]) == 1
    err = capsys.readouterr().err
    assert "<stdin>: error E0601: standard input is not UTF-8 text: byte 1 is 0xff" in err
    assert "missing.smr" in err
    given(b"\xc3\xa4" * 600_000, monkeypatch)
    assert run(["check", "-"]) == 1
    assert "E0701: standard input has more than 1,000,000 bytes of text" in capsys.readouterr().err


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_windows_line_ends_and_byte_order_mark(start, capsys, monkeypatch):
    text = f"{start}model m {{ gelux\r\n  signal(channels=1)\r\n  liner\r\n}}\r\n"
    Path("dos.smr").write_bytes(text.encode())
    given(text, monkeypatch)
    assert run(["check", "dos.smr", "-"]) == 1
    err = capsys.readouterr().err
    for place in ("dos.smr:1:11:", "dos.smr:3:3:", "<stdin>:1:11:", "<stdin>:3:3:"):
        assert place in err
    assert "\r" not in err


def test_nothing_in_a_file_steers_the_terminal(capsys):
    evil = "\x1b[31m\u202e\x07"
    Path(f"e{evil}.smr").write_text(f"# {evil}\nmodel m {{ signal(channels=1) gelux }} # {evil}")
    Path("said.smr").write_text('model m { signal(channels=1) require 1 > 2, "\\u001b[31mred" }')
    run(["check", f"e{evil}.smr", "said.smr"])
    err = capsys.readouterr().err
    assert "\ufffd[31mred" in err
    assert all(c.isprintable() or c == "\n" for c in err)
    assert visible("a\tb\nc\x00\u00a0") == "a\tb\nc\ufffd\ufffd"


def test_json_and_github(capsys):
    assert run(["check", "--format", "json", "bad.smr", "missing.smr"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    first, _, last = json.loads(out)
    assert first == {
        "code": "E0202",
        "severity": "error",
        "message": "unknown operator `gelux`, did you mean `gelu`?",
        "path": "bad.smr",
        "line": 3,
        "column": 3,
        "end_line": 3,
        "end_column": 8,
        "related": [],
        "fix": {"message": "write `gelu`", "replacement": "gelu", "start": [3, 3], "end": [3, 8]},
    }
    assert (last["path"], last["line"], last["fix"]) == ("missing.smr", 1, None)
    Path("a,b:c.smr").write_text(GOOD.replace("signal", "sygnal"))
    run(["check", "--format", "github", "a,b:c.smr"])
    line = capsys.readouterr().out.splitlines()[0]
    place = "file=a%2Cb%3Ac.smr,line=1,col=11,endLine=1,endColumn=17"
    assert line.startswith(f"::error {place},title=E0202::unknown operator")
    assert run(["check", "--format", "json", "good.smr"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_sarif(capsys):
    Path("a b.smr").write_text("model m { signal(channels=1) let a = 1 let a = 2 gelux }")
    assert run(["check", "--format", "sarif", "a b.smr", "missing.smr"]) == 1
    log = json.loads(capsys.readouterr().out)
    (told,) = log["runs"]
    assert (log["version"], told["columnKind"]) == ("2.1.0", "unicodeCodePoints")
    assert [rule["id"] for rule in told["tool"]["driver"]["rules"]] == ["E0202", "E0203", "E0601"]
    twice, unknown, missing = told["results"]
    (related,) = twice["relatedLocations"]
    assert related["physicalLocation"]["region"]["startColumn"] == 34
    place = unknown["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "a%20b.smr"}
    assert place["region"] == {"startLine": 1, "startColumn": 50, "endLine": 1, "endColumn": 55}
    (change,) = unknown["fixes"][0]["artifactChanges"]
    assert change["replacements"][0]["insertedContent"] == {"text": "gelu"}
    assert missing["locations"] == [{"physicalLocation": {"artifactLocation": {"uri": "missing.smr"}}}]


@pytest.mark.parametrize("style", STYLES)
def test_quiet(style, capsys):
    assert run(["check", "--quiet", "--format", style, "bad.smr"]) == 1
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_and_a_sum_on_a_terminal_only(monkeypatch):
    for setting, coloured in ((None, True), ("", True), ("1", False)):
        monkeypatch.delenv("NO_COLOR", raising=False)
        if setting is not None:
            monkeypatch.setenv("NO_COLOR", setting)
        monkeypatch.setattr(sys, "stderr", Terminal())
        assert run(["check", "bad.smr"]) == 1
        text = sys.stderr.getvalue()
        assert ("\033[1;31merror E0202\033[0m" in text) == coloured
        assert text.endswith("2 errors, 0 warnings in 1 file\n")


def test_explain(capsys):
    assert run(["check", "--explain", "e0202"]) == 0
    assert capsys.readouterr().out.startswith("E0202: unknown operator or component\n\n")
    assert run(["check", "--explain", "E0220"]) == 2
    assert "no code E0220, did you mean" in capsys.readouterr().err
    assert run(["check"]) == 2
    assert "name at least one file" in capsys.readouterr().err


def test_warnings_are_told_and_are_no_error(capsys):
    Path("warn.smr").write_text("model m { signal(channels=1) gelu remove gelu where false }")
    assert run(["check", "warn.smr"]) == 0
    assert "warning E0502" in capsys.readouterr().err


def test_it_needs_no_torch_and_no_networkx():
    code = (
        "import sys; from smrdsl.cli.main import run; assert run(['check', 'good.smr']) == 0\n"
        "assert not {'torch', 'networkx', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
