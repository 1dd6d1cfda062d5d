"""`import smrdsl.importer` makes specs importable, beside Python's own modules."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import smrdsl
import smrdsl.importer

ROOT = Path(__file__).parent.parent
SPEC = "model first(width = 2) { signal(channels=1) linear(width) }\nmodel second extends first { }\n"


@pytest.fixture(autouse=True)
def path(tmp_path, monkeypatch):
    """A path with a package, a namespace and a spec in each; what is imported is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("smr_top.smr", "smr_space/inner.smr", "smr_package/inner.smr", "smr_package/sub/deep.smr"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(SPEC)
    (tmp_path / "smr_package/__init__.py").touch()
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith("smr_"):
            del sys.modules[name]


@pytest.mark.parametrize("name", ["smr_top", "smr_space.inner", "smr_package.inner", "smr_package.sub.deep"])
def test_modules_packages_and_namespaces(name, path):
    module = importlib.import_module(name)
    assert module.models == ("first", "second")
    assert module.__file__ == str(path / (name.replace(".", "/") + ".smr"))
    assert module.__name__ == name
    assert importlib.reload(module).models == ("first", "second")


def test_load_compiles(monkeypatch, path):
    import smr_top

    model = smr_top.load(seed=1)
    assert (model.graph.name, model.training) == ("first", True)
    other = smr_top.load("second", set={"width": 5}, mode="infer")
    assert (other.graph.name, other.linear.weight.shape, other.training) == ("second", (5, 1), False)
    with pytest.raises(smrdsl.SpecError, match="no model `third`"):
        smr_top.load(model="third")


def test_a_relative_path_is_followed_later_too(monkeypatch, path):
    monkeypatch.chdir(path)
    monkeypatch.setattr(sys, "path", ["", *sys.path[1:]])
    module = importlib.import_module("smr_space.inner")
    monkeypatch.chdir("/")
    assert module.load().graph.name == "first"


def test_python_comes_first(path):
    (path / "smr_both.smr").write_text(SPEC)
    (path / "smr_both.py").write_text("models = 'of Python'")
    assert importlib.import_module("smr_both").models == "of Python"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model m { signal( }", "smr_broken.smr:1:"),
        ("model m { signal(channels=1) liner(2) }", "unknown operator `liner`, did you mean `linear`?"),
        ("model a { signal(channels=1) } model m { signal(channels=1) linear(0) }", "E0305"),
        ("model m { signal(channels=1) linear(2, bias=3) gelux }", "E0202"),
    ],
)
def test_a_broken_spec_is_an_import_error_with_all_diagnostics(text, told, path):
    (path / "smr_broken.smr").write_text(text)
    with pytest.raises(ImportError) as caught:
        importlib.import_module("smr_broken")
    assert told in str(caught.value)
    assert caught.value.name == "smr_broken"
    assert caught.value.path == str(path / "smr_broken.smr")
    assert isinstance(caught.value.__cause__, smrdsl.SpecError)
    assert len(caught.value.__cause__.diagnostics) == len(smrdsl.check_text(text))
    assert "smr_broken" not in sys.modules


def test_what_is_not_there_is_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("smr_top.inner")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("smr_nowhere")


def test_it_is_installed_once():
    smrdsl.importer.install()
    assert sum(isinstance(f, smrdsl.importer.SmrFinder) for f in sys.meta_path) == 1


def test_from_a_checkout():
    code = (
        "import smrdsl.importer, sys; import specs.quickstart as q\n"
        "assert q.models == ('quickstart', 'quickstart_baseline')\n"
        "assert 'torch' not in sys.modules\n"
        "assert q.load(seed=1, set={'depth': 1}).graph.name == 'quickstart'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100, cwd=ROOT)
