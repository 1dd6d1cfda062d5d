"""`smrdsl summary`: the table of a model, its sums, and whether it can be stepped."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from smrdsl.cli.main import run

SPEC = """
model causal(width = 8) {
  tokens(vocab=16, length=32)
  tok: embed(width)
  repeat 3 { residual { norm(rms)  smr(memory=4)  attention(heads=2) } }
  linear(16, bias=false, tie=tok)
}
model both_ways {
  signal(channels=4)
  repeat 2 { attention(heads=2, causal=false) }
  bidirectional(merge=add) { gelu }
  pool
}
"""


@pytest.fixture
def spec(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("spec.smr").write_text(SPEC)
    return "spec.smr"


def test_the_table(spec, capsys):
    assert run(["summary", spec, "--batch", "2"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    heading, _, heads, *lines = out.splitlines()
    assert heading == "causal(width=8): length 32, batch 2, float32"
    assert heads.split() == ["step", "output", "params", "FLOPs", "kept", "state"]
    column = heads.index("output")
    assert [line[:column].rstrip() for line in lines[:9]] == [
        "tokens(vocab=16, length=32)",
        "tok: embed(width=8)",
        "layers.0-2 (x 3)",
        "  norm(kind=rms)",
        "  smr(memory=4)",
        "  attention(heads=2)",
        "  residual",
        "linear(width=16, bias=false, tie=tok)",
        "total",
    ]
    assert lines[1][column:].split()[:4] == ["(B,", "L,", "8)", "128"]
    assert all(line == line.rstrip() for line in lines)
    assert "causal: can be stepped, with " in out


def test_sums_hold(spec, capsys):
    assert run(["summary", spec, "--json", "--length", "100", "--batch", "3"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows, whole = told["rows"], told["total"]
    assert (told["length"], told["batch"], told["causal"], told["looks_ahead"]) == (100, 3, True, [])
    assert len(rows) == 3 + 3 * 4
    for column in ("parameters", "flops", "activation_bytes", "state_bytes"):
        assert sum(row[column] for row in rows) == whole[column]
    by_path = {row["path"]: row for row in rows}
    assert by_path["tok"]["parameters"] == 16 * 8
    assert by_path["linear"]["parameters"] == 0, "its weight is that of the embedding"
    assert by_path["layers.1.smr"]["state_bytes"] == 3 * 8 * 4
    assert by_path["layers.1.attention"]["state_bytes"] == 2 * 100 * 8 * 4, "keys and values grow with the stream"
    assert by_path["layers.2.norm"]["location"] == "spec.smr:5:25"
    assert by_path["layers.2.norm"]["output"] == "(B, L, 8)"


def test_a_row_above_others_is_their_sum(spec, capsys):
    run(["summary", spec])
    folded = capsys.readouterr().out
    run(["summary", spec, "--all"])
    every = capsys.readouterr().out
    (run_of_layers,) = [line for line in folded.splitlines() if line.startswith("layers.0-2 (x 3)")]
    (one,) = [line for line in every.splitlines() if line.startswith("layers.1 ")]
    assert params(run_of_layers) == 3 * params(one)
    assert every.count("residual") == 3
    assert "(x " not in every


def params(line: str) -> int:
    """The column of parameters in a row without a shape."""
    (number, *_) = [word for word in line.split("  ") if word.strip().replace(",", "").isdigit()]
    return int(number.replace(",", ""))


def test_what_looks_ahead_is_named_once_for_each_place(spec, capsys):
    assert run(["summary", spec, "--model", "both_ways"]) == 0
    out = capsys.readouterr().out
    told = out[out.index("not causal") :].splitlines()[:3]
    assert told == [
        "not causal, so it cannot be stepped; what looks ahead:",
        "  attention at spec.smr:10:14",
        "  bidirectional at spec.smr:11:3",
    ]
    run(["summary", spec, "--model", "both_ways", "--json"])
    assert [row["path"] for row in json.loads(capsys.readouterr().out)["looks_ahead"]] == [
        "layers.1.attention",
        "bidirectional",
    ]


@pytest.mark.parametrize("given", [["--length", "0"], ["--batch", "-1"], ["--set", "width"], ["--limit", "x=1"]])
def test_wrong_options(spec, given, capsys):
    assert run(["summary", spec, *given]) == 2
    assert capsys.readouterr().out == ""


def test_into_a_pipe_that_ends_early_and_without_torch(spec):
    Path(spec).write_text("model m { signal(channels=4) repeat 2000 as i { linear(4) } }")
    code = (
        "import sys; from smrdsl.cli.main import run; code = run(['summary', 'spec.smr', '--all']);"
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"m: length 1,024, batch 1, float32\n"
        process.stdout.close()
        assert process.stderr.read() == b""
