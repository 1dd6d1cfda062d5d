"""How the native kernels are built and found: what is missing, stale or broken is said, and never in the way."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from smrdsl import native
from smrdsl.native import build
from tests.native.kernels import needs_library

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(native.VARIABLE, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The room without its library."""
    for file in build.sources():
        shutil.copy(file, tmp_path)
    return tmp_path


@pytest.fixture
def built(folder: Path) -> Path:
    """The room with the library that smrdsl was installed with."""
    for name in (build.LIBRARY, build.STAMP):
        shutil.copy(build.HERE / name, folder)
    return folder


def why_not(folder: Path) -> str:
    with pytest.raises(native.Missing) as caught:
        native.load(folder)
    return str(caught.value)


@pytest.mark.skipif(not shutil.which("g++"), reason="there is no g++")
def test_the_library_is_built_from_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(build, "FLAGS", [f for f in build.FLAGS if f != "-O3"])
    for name in ("lanes.h", "modes.cpp", "dispatch.cpp"):
        shutil.copy(build.HERE / name, tmp_path)
    assert build.build(tmp_path).startswith("native kernels built with")
    assert {file.name for file in tmp_path.iterdir()} >= {build.LIBRARY, build.STAMP}
    assert native.load(tmp_path).level in build.levels()


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [
        ("no-such-compiler", "CXX=no-such-compiler was not found"),
        ("false", "false does not make a library of an empty program"),
    ],
)
def test_without_a_compiler_the_reason_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, compiler: str, reason: str
) -> None:
    monkeypatch.setenv("CXX", compiler)
    assert reason in build.build(folder)
    assert why_not(folder) == f"{reason} when smrdsl was installed"
    assert not (folder / build.LIBRARY).exists()


def test_a_machine_without_any_compiler(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(folder))
    assert "no compiler was found" in build.build(folder)
    assert why_not(folder) == "no compiler was found when smrdsl was installed"


def test_a_source_that_does_not_compile_gives_the_compilers_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("g++"):
        pytest.skip("there is no g++")
    monkeypatch.setenv("CXX", "g++")
    (tmp_path / "dispatch.cpp").write_text("#error not today\n")
    assert "#error not today" in build.build(tmp_path)
    assert "#error not today" in why_not(tmp_path)


def test_a_place_that_cannot_be_written_is_not_in_the_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "false")
    told = build.build(folder, out=folder / "dispatch.cpp")
    assert "works without them" in told


def test_a_library_that_was_never_built(folder: Path) -> None:
    assert "were not built" in why_not(folder)


@needs_library
def test_a_library_of_other_sources_is_not_used(built: Path) -> None:
    native.load(built)
    with (built / "dispatch.cpp").open("a") as file:
        file.write("// changed\n")
    assert "sources have changed" in why_not(built)


@needs_library
def test_a_truncated_library_is_not_loaded(built: Path) -> None:
    whole = (built / build.LIBRARY).read_bytes()
    (built / build.LIBRARY).write_bytes(whole[: len(whole) // 2])
    assert "not what was built" in why_not(built)


@needs_library
@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "{}", '{"sources": 1}'])
def test_a_broken_stamp_is_not_believed(built: Path, text: str) -> None:
    (built / build.STAMP).write_text(text)
    assert "install smrdsl again" in why_not(built)


@needs_library
def test_a_library_that_cannot_be_loaded(built: Path) -> None:
    (built / build.LIBRARY).write_bytes(b"not a library")
    stamp = json.loads((built / build.STAMP).read_text())
    (built / build.STAMP).write_text(json.dumps(stamp | {"library": build.digest(built / build.LIBRARY)}))
    assert "cannot be loaded" in why_not(built)


@needs_library
@pytest.mark.parametrize("level", ["off", "avx1024"])
def test_the_variable_turns_them_off(built: Path, monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    monkeypatch.setenv(native.VARIABLE, level)
    assert f"{native.VARIABLE}={level}" in why_not(built)


@needs_library
def test_the_variable_chooses_a_level(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(native.VARIABLE, "generic")
    assert native.load(built).level == "generic"


@needs_library
def test_a_level_that_was_not_built_is_not_run(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stamp = json.loads((built / build.STAMP).read_text())
    (built / build.STAMP).write_text(json.dumps(stamp | {"levels": ["generic"]}))
    assert native.load(built).level == "generic"
    monkeypatch.setenv(native.VARIABLE, "avx512")
    assert why_not(built) == "SMRDSL_NATIVE=avx512, and this machine runs generic"


@pytest.mark.parametrize("level", ["off", "generic"])
def test_the_version_says_what_runs(level: str) -> None:
    command = [sys.executable, "-m", "smrdsl", "--version", "-v"]
    told = subprocess.run(command, capture_output=True, text=True, env={"SMRDSL_NATIVE": level}, check=True).stdout
    assert "native kernels: none, SMRDSL_NATIVE=off" in told or level == "generic"
    assert told.startswith("smrdsl ")
    assert "native kernels: " in told


def hook(root: Path) -> tuple[object, list[str]]:
    """The build hook of a project in another folder, and what it displays."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    told: list[str] = []
    app = type("App", (), {"display_info": lambda self, text: told.append(text)})()
    return module.NativeKernels(str(root), {}, None, None, "", "wheel", app), told


def test_without_a_library_the_wheel_is_for_every_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hatchling")
    monkeypatch.setenv("CXX", "false")
    shutil.copytree(build.HERE, tmp_path / "smrdsl" / "native")
    made, told = hook(tmp_path)
    data = {"artifacts": [], "pure_python": True}
    made.initialize("standard", data)
    assert data["pure_python"]
    assert "tag" not in data
    assert f"smrdsl/native/{build.STAMP}" in data["artifacts"]
    assert told == [
        "no native kernels: false does not make a library of an empty program; smrdsl works without them, only slower"
    ]
