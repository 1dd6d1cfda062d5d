"""`smrdsl compile`: a package, whole or not at all, with every way to fail told in a line."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import smrdsl
from smrdsl.cli.main import run
from smrdsl.passes.order import FUSIONS
from smrdsl.plan.plan import Conditions
from smrdsl.runtime import package
from tests.cli.test_main import heed_ctrl_c

FUSING = [p.name for p in FUSIONS if p.fits(Conditions(mode="infer"))]

SPEC = """
model small(width = 4, depth = 2) {
  signal(channels=2, length=16)
  linear(width)
  repeat depth { residual { norm(layer)  s4d(state=2)  skip } }
  linear(3)
  execute s4d as scan
}
model other { signal(channels=1) linear(2) }
"""
WHOLE = {
    "__init__.py", "model.py", "weights.safetensors", "graph.json", "plan.json", "spec.smr",
    "architecture.svg",
}  # fmt: skip


@pytest.fixture(autouse=True)
def specs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    Path("spec.smr").write_text(SPEC)
    monkeypatch.setattr(package, "_draw", picture)


def picture(graph, folder: Path) -> None:
    """In the place of the real one, which is tested where it is drawn."""
    (folder / "architecture.svg").write_text("<svg/>")


def compiled(*arguments: str, code: int = 0) -> None:
    assert run(["compile", "spec.smr", "--quiet", *arguments]) == code


def files(folder: str = ".") -> set[str]:
    return {p.name for p in Path(folder).iterdir()}


def test_what_is_made_and_told(capsys):
    assert run(["compile", "spec.smr"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "small: (B, L, 2) -> (B, L, 3), 83 parameters",
        "  package  build/small",
        "  picture  build/small/architecture.svg",
        "  s4d as scan x 2",
    ]
    assert err == ""
    assert files("build/small") == WHOLE
    assert files("build") == {"small"}


def test_json(capsys):
    assert run(["compile", "spec.smr", "--json", "-o", "out", "--model", "other"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "model": "other",
        "package": "out",
        "picture": "out/architecture.svg",
        "parameters": 4,
        "strategies": {},
    }
    assert err == ""


def test_options_reach_the_model():
    compiled("--set", "depth=1", "--set", "width=8", "--dtype", "float64", "--seed", "3", "--length", "8",
             "--batch", "2", "--mode", "decode", "-o", "out")  # fmt: skip
    model = smrdsl.load("out", mode="decode")
    again = smrdsl.compile("spec.smr", set={"depth": 1, "width": 8}, seed=3, dtype="float64")
    assert {t.dtype for t in model.parameters()} == {torch.float64}
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in model.state_dict().items())
    told = json.loads(Path("out/plan.json").read_text())["conditions"]
    wanted = {"length": 8, "batch": 2, "mode": "decode", "dtype": "float64", "device": "cpu", "disabled": []}
    assert told.items() >= wanted.items()


def test_the_weights_hold_the_spec():
    compiled("-o", "out")
    with safe_open("out/weights.safetensors", "pt") as opened:
        kept = opened.metadata()
    assert kept["spec"] == Path("out/spec.smr").read_text()
    assert kept["spec_sha256"] == hashlib.sha256(kept["spec"].encode()).hexdigest()
    assert json.loads(kept["arguments"]) == {"width": "4", "depth": "2"}
    assert smrdsl.check("out/spec.smr") == []


def test_standard_input_and_warnings(capsys, monkeypatch):
    import io

    text = SPEC.replace("linear(3)\n", "linear(3) remove norm where false\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert run(["compile", "-", "--quiet", "-o", "out"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "<stdin>:6:31: warning E0502" in err


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        (["--length", "0"], 2, "--length"),
        (["--length", str(10**30)], 2, "--length"),
        (["--batch", "x"], 2, "--batch"),
        (["--mode", "fast"], 2, "--mode"),
        (["--dtype", "float16"], 2, "--dtype"),
        (["--seed", "one"], 2, "--seed"),
        (["--disable", "dead-cod"], 2, "no pass `dead-cod`, did you mean `dead-code`?"),
        (["--model", "smal"], 1, "no model `smal` in this file, did you mean `small`?"),
        (["--set", "widht=3"], 1, "no parameter `widht`, did you mean `width`?"),
        (["--device", "nonsense"], 1, "cannot use the device `nonsense`: "),
        (
            ["--device", "meta"],
            1,
            "E0901: linear.weight is on the device meta, where it has no values to save",
        ),
        (["--dump-passes", "spec.smr"], 1, "error: spec.smr: File exists"),
        (["--dump-passes", "spec.smr/x"], 1, "error: spec.smr/x: Not a directory"),
        (["--weights", "none"], 1, "E0901: none does not exist"),
    ],
)
def test_options_that_cannot_be(given, code, told, capsys):
    compiled("-o", "out", *given, code=code)
    out, err = capsys.readouterr()
    assert told in err
    assert out == ""
    assert files() == {"spec.smr"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is told without CUDA")
def test_cuda_without_cuda(capsys):
    compiled("--device", "cuda", code=1)
    assert "error: cannot use the device `cuda`: " in capsys.readouterr().err
    assert files() == {"spec.smr"}


def test_passes_are_dumped_by_number_in_place_of_old_ones():
    Path("dump").mkdir()
    for name in ("00-old.txt", "note.txt"):
        (Path("dump") / name).touch()
    compiled("-o", "out", "--dump-passes", "dump")
    shown = ["start", "drop-skip", "dead-code", "planned", *FUSING]
    numbered = [f"{i:02}-{name}.{ending}" for i, name in enumerate(shown) for ending in ("txt", "svg")]
    assert files("dump") == {"note.txt", "times.txt", *numbered}
    timed = [line.split()[-1] for line in Path("dump/times.txt").read_text().splitlines()]
    assert timed == ["drop-skip", "dead-code", *FUSING]
    assert " = skip()" in Path("dump/00-start.txt").read_text()
    assert " = skip()" not in Path("dump/01-drop-skip.txt").read_text()
    compiled("-o", "out", "--dump-passes", "dump", "--disable", "drop-skip", "--disable", FUSING[0])
    assert {"01-dead-code.txt", "02-planned.txt"} <= files("dump")
    assert not any(FUSING[0] in name or "drop-skip" in name for name in files("dump"))


# --- the folder


def ours(folder: str) -> None:
    """A package that was there before, with a mark by which it is known."""
    compiled("-o", folder, "--seed", "7")


def whole(folder: str, seed: int) -> bool:
    """Whether a folder is a package in which nothing is missing, made with this seed."""
    wanted = smrdsl.compile("spec.smr", seed=seed).state_dict()
    return files(folder) - {"__pycache__"} == WHOLE and all(
        torch.equal(v, wanted[k]) for k, v in smrdsl.load(folder).state_dict().items()
    )


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("file", "file is a file, not a folder"),
        ("file/in", "file/in cannot be made, because "),
        ("file/in/deep", "file/in/deep cannot be made, because "),
        ("theirs", "theirs is there already and is no package of ours"),
        ("mixed", "mixed holds what is not ours (mine.txt)"),
        (".", ". is there already and is no package of ours"),
        ("n" * 300, "File name too long"),
        ("/proc/out", "cannot"),
    ],
)
def test_folders_that_are_refused(folder, told, capsys):
    Path("file").write_text("precious")
    Path("theirs").mkdir()
    Path("theirs/__init__.py").write_text("precious")
    ours("mixed")
    Path("mixed/mine.txt").write_text("precious")
    before = files()
    compiled("-o", folder, code=1)
    err = capsys.readouterr().err
    assert "error E0604: " in err
    assert told in err
    assert files() == before
    assert all(Path(p).read_text() == "precious" for p in ("file", "theirs/__init__.py", "mixed/mine.txt"))


def test_the_folder_that_one_is_in_is_not_replaced(capsys, monkeypatch):
    ours("out")
    monkeypatch.chdir("out")
    assert run(["compile", "../spec.smr", "-o", "."]) == 1
    assert "is the folder that you are in" in capsys.readouterr().err
    monkeypatch.chdir("..")
    assert whole("out", 7)


def test_a_place_that_may_not_be_written_to(monkeypatch, capsys):
    """The rights of files do not bind who runs the tests as root."""
    monkeypatch.setattr(package.os, "access", lambda place, mode: False)
    compiled("-o", "deep/out", code=1)
    assert "deep/out cannot be made, because " in (err := capsys.readouterr().err)
    assert " may not be written to; name another folder" in err
    assert files() == {"spec.smr"}


def test_refusing_comes_before_the_work(monkeypatch, capsys):
    def work(*arguments, **options):
        raise AssertionError("it worked for nothing")

    monkeypatch.setattr("smrdsl.cli.compile.compile_lowered", work)
    compiled("-o", "spec.smr", code=1)


def test_an_old_package_and_an_empty_folder_are_replaced():
    ours("out")
    os.chmod("out", 0o750)
    Path("out/__pycache__").mkdir()
    Path("empty").mkdir()
    Path("link").symlink_to("out")
    for folder in ("out", "empty", "link"):
        compiled("-o", folder, "--seed", "1")
        assert whole(folder, 1)
    assert Path("out").stat().st_mode & 0o777 == 0o750
    assert Path("link").is_symlink()
    assert files() == {"spec.smr", "out", "empty", "link"}


def test_a_new_package_has_the_usual_mode():
    before = os.umask(0o027)
    try:
        compiled("-o", "out")
    finally:
        os.umask(before)
    assert Path("out").stat().st_mode & 0o777 == 0o750
    assert {p.stat().st_mode & 0o777 for p in Path("out").iterdir()} == {0o640}


def test_names_that_python_cannot_import(capsys):
    compiled("-o", "my-model 2")
    text = Path("my-model 2/__init__.py").read_text()
    compile(text, "__init__.py", "exec")
    assert "import small" in text


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), RuntimeError("a bug of ours")],
)
@pytest.mark.parametrize("where", ["_draw", "_swap", "write_weights"])
def test_a_failure_leaves_no_half_package(where, error, old, capsys, monkeypatch):
    if old:
        ours("out")

    def fail(*arguments):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(package, where, fail)
        code = {OSError: 1, KeyboardInterrupt: 130, RuntimeError: 3}[type(error)]
        compiled("-o", "out", code=code)
    if isinstance(error, OSError):
        assert "out: error E0604: cannot write out: No space left on device" in capsys.readouterr().err
    assert files() == ({"spec.smr", "out"} if old else {"spec.smr"})
    assert not old or whole("out", 7)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("failing", [1, 2])
def test_a_failure_between_the_two_moves_brings_the_old_package_back(error, failing, monkeypatch):
    ours("out")
    rename, count = Path.rename, 0

    def moved(self, target):
        nonlocal count
        count += 1
        if count == failing:
            raise error
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", moved)
        code = run(["compile", "spec.smr", "--quiet", "-o", "out", "--seed", "1"])
    assert files() == {"spec.smr", "out"}
    assert whole("out", 1 if code == 0 else 7)


def test_an_old_package_that_cannot_be_brought_back_is_not_thrown_away(monkeypatch):
    ours("out")
    rename, count = Path.rename, 0

    def moved(self, target):
        nonlocal count
        count += 1
        if count > 1:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", moved)
        compiled("-o", "out", code=1)
    (place,) = files() - {"spec.smr"}
    assert whole(f"{place}/old0", 7)
    assert files(place) == {"old0"}


def test_what_came_to_the_folder_meanwhile_is_kept(monkeypatch, capsys):
    draw = package._draw

    def while_it_draws(g, folder):
        draw(g, folder)
        Path("out").mkdir()
        Path("out/mine.txt").write_text("precious")

    monkeypatch.setattr(package, "_draw", while_it_draws)
    compiled("-o", "out", code=1)
    assert "is there already and is no package of ours" in capsys.readouterr().err
    assert Path("out/mine.txt").read_text() == "precious"
    assert files() == {"spec.smr", "out"}


def test_a_real_disk_that_is_full(capsys):
    Path("disk").mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", "disk"], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    try:
        compiled("-o", "disk/out", code=1)
        assert "E0604: cannot write disk/out: No space left on device" in capsys.readouterr().err
        assert files("disk") == set()
    finally:
        subprocess.run(["umount", "disk"], check=True)


def test_many_that_write_to_one_place_at_a_time():
    from concurrent.futures import ThreadPoolExecutor

    models = [smrdsl.compile("spec.smr", seed=seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            list(pool.map(lambda model: model.save("out"), models))
    assert any(whole("out", seed) for seed in range(4))
    assert files() == {"spec.smr", "out"}


def test_ctrl_c_in_the_middle():
    ours("out")
    code = (
        "import sys, time; from smrdsl.runtime import package; from smrdsl.cli.main import run\n"
        "package._draw = lambda g, folder: (print('drawing', flush=True), time.sleep(60))\n"
        "sys.exit(run(['compile', 'spec.smr', '-o', 'out']))"
    )
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, preexec_fn=heed_ctrl_c) as process:
        assert process.stdout.readline() == b"drawing\n"
        assert len(files()) == 3
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert b"Traceback" not in process.stderr.read()
    assert files() == {"spec.smr", "out"}
    assert whole("out", 7)


# --- weights


def test_weights_are_taken_from_a_package_or_a_file():
    ours("seven")
    compiled("-o", "out", "--weights", "seven")
    assert whole("out", 7)
    compiled("-o", "out", "--weights", "seven/weights.safetensors", "--dtype", "float64")
    wanted = load_file("seven/weights.safetensors")
    assert all(torch.equal(v, wanted[k].double()) for k, v in smrdsl.load("out").state_dict().items())


def test_half_precision_becomes_single():
    ours("seven")
    halves = {k: v.bfloat16() for k, v in load_file("seven/weights.safetensors").items()}
    save_file(halves, "half.safetensors")
    compiled("-o", "out", "--weights", "half.safetensors")
    found = smrdsl.load("out").state_dict()
    assert all(v.dtype == torch.float32 and torch.equal(v, halves[k].float()) for k, v in found.items())


def junk(name: str) -> str:
    good = load_file("seven/weights.safetensors")
    data = Path("seven/weights.safetensors").read_bytes()
    if name == "shape":
        save_file(good | {"linear.weight": torch.zeros(4, 3)}, "w")
    elif name == "name":
        good["linear.wieght"] = good.pop("linear.weight")
        save_file(good, "w")
    elif name == "kind":
        save_file(good | {"linear.weight": torch.zeros(4, 2, dtype=torch.int64)}, "w")
    elif name == "folder":
        Path("w").mkdir()
    elif name == "pipe":
        os.mkfifo("w")
    else:
        Path("w").write_bytes({"junk": b"junk" * 9, "empty": b"", "cut": data[:-1], "head": data[:20]}[name])
    return "w"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("shape", "E0901: w does not fit the model:\n  linear.weight: wanted (4, 2), found (4, 3)"),
        ("name", "linear.weight (4, 2) is missing, did you mean `linear.wieght`?"),
        ("kind", "linear.weight holds torch.int64"),
        ("junk", "E0901: w is no safetensors file, or cut short: "),
        ("empty", "E0901: w is no safetensors file, or cut short: "),
        ("cut", "E0901: w is no safetensors file, or cut short: "),
        ("head", "E0901: w is no safetensors file, or cut short: "),
        ("folder", "E0901: w/weights.safetensors does not exist"),
        ("pipe", "E0901: w is no file"),
    ],
)
def test_weights_that_do_not_fit(name, told, capsys):
    ours("seven")
    compiled("-o", "out", "--weights", junk(name), code=1)
    assert told in capsys.readouterr().err
    assert not Path("out").exists()


def test_many_mistakes_are_summed_up(capsys):
    compiled("-o", "other", "--model", "other")
    compiled("-o", "out", "--weights", "other", code=1)
    err = capsys.readouterr().err
    assert "layers.0.norm.bias (4,) is missing\n" in err
    assert err.endswith("  and 12 more\n")
