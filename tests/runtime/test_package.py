"""Packages: imported as they are, equal to what was saved, and loaded as data, tampered with or not."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import smrdsl
from smrdsl.graph.show import show
from smrdsl.runtime import package
from smrdsl.runtime.errors import WeightsError

SPEC = """
model small(width = 4) {
  tokens(vocab=8, length=16)
  tok: embed(width)
  repeat 2 { residual { norm(batch)  smr(memory=2)  s4d(state=2)  glu } }
  parallel(merge=add) { branch { s4(state=2) }  branch { attention(heads=2, window=3) } }
  linear(8, tie=tok)
}
"""
U = torch.arange(14).reshape(2, 7) % 8


@pytest.fixture(scope="module")
def model():
    return smrdsl.compile_text(SPEC, mode="infer", seed=4)


@pytest.fixture
def folder(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(package, "_draw", lambda graph, folder: None)
    model.save("small")
    return Path("small")


def test_a_package_is_what_was_saved(model, folder):
    again = smrdsl.load(folder)
    assert torch.equal(again(U), model(U))
    assert again.text == model.text
    assert again.plan == model.plan
    assert show(again.graph) == show(model.graph)
    assert list(again.state_dict()) == list(model.state_dict())
    assert not again.training
    assert smrdsl.load(folder, mode="train").training
    again.save("again")
    for file in ("graph.json", "model.py", "plan.json", "spec.smr", "weights.safetensors"):
        assert Path("again", file).read_bytes() == (folder / file).read_bytes()


def test_after_training_the_trained_weights_and_statistics_are_saved(folder):
    model = smrdsl.load(folder, mode="train")
    model(U).sum().backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.01 * p.grad if p.grad is not None else 0
    model.save("trained")
    again = smrdsl.load("trained")
    torch.testing.assert_close(again(U), model.eval()(U))
    assert (again(U) - smrdsl.load(folder)(U)).abs().max() > 1e-3


def test_in_a_fresh_process(model, folder):
    torch.save(model(U), "wanted.pt")
    code = """
import torch, small
from small.model import Small
torch.set_num_threads(1)
u = torch.arange(14).reshape(2, 7) % 8
wanted, model, own = torch.load("wanted.pt"), small.load(), Small.load()
assert torch.equal(model(u), wanted) and torch.equal(own(u), wanted)
y, state = own.step(u[:, 0], model.initial_state(2))
assert torch.equal(y, model.step(u[:, 0], model.initial_state(2))[0])
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_checks_do_not_rest_on_assertions(folder):
    """`python -O` leaves assertions out."""
    tamper(folder, lambda d: d["nodes"][1]["type"].update(dims=["B", "L", 5]))
    code = (
        "from smrdsl.graph.show import from_json; from smrdsl import SmrError\n"
        "try: from_json(open('small/graph.json').read())\n"
        "except SmrError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, timeout=100)
    assert done.stderr == ""
    assert "is no valid graph: tok: its type is (B, L, 5), its shape rule gives (B, L, 4)" in done.stdout


def tamper(folder: Path, change) -> None:
    document = json.loads((folder / "graph.json").read_text())
    change(document)
    (folder / "graph.json").write_text(json.dumps(document))


def node(document: dict, key: str) -> dict:
    return next(n for n in document["nodes"] if n["key"] == key)


def rename(document: dict, old: str, new: str) -> None:
    text = json.dumps(document).replace(json.dumps(old), json.dumps(new))
    document.update(json.loads(text))


def rename_merge(document: dict) -> None:
    node(document, "parallel")["key"] = "plan"
    node(document, "linear")["inputs"] = ["plan"]


CODE = 'a");__import__("pathlib").Path("hacked").touch()#'


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.clear(), "is no graph of ours: version: Field required"),
        (lambda d: d.update(version=99), "was written by a newer smrdsl (version 99)"),
        (lambda d: d.update(extra=1), "is no graph of ours: extra"),
        (lambda d: d.update(nodes=[]), "the output linear is no node"),
        (lambda d: d.update(output="nowhere"), "the output nowhere is no node"),
        (lambda d: d.update(name="x:\n import os"), "cannot name a model"),
        (
            lambda d: node(d, "linear").update(op="liner"),
            "uses the operator `liner`, which is not known here",
        ),
        (
            lambda d: node(d, "linear").update(op="glu"),
            "linear has no arguments of `glu`: width: Extra inputs",
        ),
        (
            lambda d: node(d, "tok")["params"].update(width=-1),
            "tok has no arguments of `embed`: width: Input should",
        ),
        (lambda d: node(d, "tok")["params"].update(width="4"), "width: Input should be a valid integer"),
        (
            lambda d: node(d, "tok")["params"].update(wide=4),
            "tok has no arguments of `embed`: wide: Extra inputs",
        ),
        (
            lambda d: node(d, "tok").update(inputs=["linear"]),
            "tok reads linear, which does not stand before it",
        ),
        (lambda d: node(d, "tok").update(inputs=["tok"]), "tok reads tok, which does not stand before it"),
        (lambda d: node(d, "tok").update(inputs=[]), "tok: `embed` reads 0 streams"),
        (lambda d: node(d, "tok").update(inputs=["tokens", "tokens"]), "tok: `embed` reads 2 streams"),
        (lambda d: node(d, "tok")["type"].update(dims=["B", "L", 10**30]), "tok: its type is"),
        (lambda d: node(d, "linear").update(shares=None), "linear: it shares None, its arguments say tie"),
        (lambda d: node(d, "tok").update(shares="linear"), "tok: it shares linear, its arguments say None"),
        (lambda d: node(d, "linear").update(shares="gone"), "shares the weight of gone, which is gone"),
        (
            lambda d: node(d, "linear").update(shares="layers.0.norm"),
            "the weight of layers.0.norm does not fit",
        ),
        (lambda d: node(d, "layers.0.s4d").update(strategy="magic"), "strategy magic"),
        (lambda d: d["nodes"].append(dict(d["nodes"][0], key="second")), "2 inputs"),
        (lambda d: d["nodes"].append(d["nodes"][1]), "two nodes are called tok"),
        (lambda d: rename(d, "layers.1.glu", "layers.1.smr.glu"), "stands inside the node layers.1.smr"),
        (lambda d: rename(d, "layers.1.glu", "forward"), "every torch module has an attribute `forward`"),
        (rename_merge, "every compiled model has an attribute `plan`"),
        (lambda d: rename(d, "layers.1.glu", CODE), "is no path"),
        (lambda d: rename(d, "layers.1.glu", ""), "'' is no path"),
        (lambda d: rename(d, "layers.1.glu", "../glu"), "is no path"),
    ],
)
def test_a_tampered_graph(change, told, folder):
    tamper(folder, change)
    with pytest.raises(smrdsl.SmrError) as caught:
        smrdsl.load(folder)
    assert told in str(caught.value)
    assert not Path("hacked").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "9", '"x"', "[" * 100_000, "\x00", "\ud800"])
@pytest.mark.parametrize("file", ["graph.json", "plan.json", "weights.safetensors"])
def test_files_that_hold_junk(file, text, folder):
    (folder / file).write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(smrdsl.SmrError, match=file):
        smrdsl.load(folder)


@pytest.mark.parametrize("file", ["graph.json", "plan.json", "weights.safetensors", "spec.smr"])
def test_files_that_are_missing(file, folder):
    (folder / file).unlink()
    with pytest.raises(smrdsl.SmrError, match=file):
        smrdsl.load(folder)


@pytest.mark.parametrize("place", ["nowhere", "small/graph.json", "."])
def test_what_is_no_package(place, folder):
    with pytest.raises(smrdsl.SmrError, match=r"is no compiled package: cannot read graph\.json"):
        smrdsl.load(place)


@pytest.mark.parametrize(
    "change",
    [
        {"length": 0},
        {"length": "x"},
        {"length": 10**40},
        {"mode": 3, "batch": None},
        {"dtype": "int8"},
        {"x": 1},
    ],
)
def test_a_tampered_plan(change, folder):
    document = json.loads((folder / "plan.json").read_text())
    document["conditions"].update(change)
    (folder / "plan.json").write_text(json.dumps(document))
    with pytest.raises(smrdsl.SmrError, match=r"plan\.json is no plan of ours"):
        smrdsl.load(folder)


def test_a_mode_that_there_is_not(folder):
    with pytest.raises(smrdsl.SmrError, match="no mode `infr`, did you mean `infer`"):
        smrdsl.load(folder, mode="infr")


@pytest.mark.parametrize("width", [6, 10**9, 10**40])
def test_no_memory_is_taken_before_the_shapes_are_known_to_fit(width, folder, monkeypatch):
    made = []
    make = package.make_layers

    def watched(graph, seed, device="cpu"):
        made.append(device)
        return make(graph, seed, device)

    monkeypatch.setattr(package, "make_layers", watched)
    text = (folder / "graph.json").read_text()
    document = json.loads(text.replace(" 4\n", f" {width}\n").replace('"width": 4', f'"width": {width}'))
    (folder / "graph.json").write_text(json.dumps(document))
    with pytest.raises(smrdsl.SmrError):
        smrdsl.load(folder)
    assert made == ["meta"]


def test_buffers_are_compared_too(tmp_path, monkeypatch):
    """The statistics of a batch norm without weights are all that has the width."""
    monkeypatch.setattr(package, "_draw", lambda g, folder: None)
    smrdsl.compile_text("model m { signal(channels=3) norm(batch, affine=false) }").save(tmp_path / "m")
    tamper(tmp_path / "m", lambda d: d.update(json.loads(json.dumps(d).replace("3", str(10**12)))))
    with pytest.raises(WeightsError, match=r"norm.running_mean: wanted \(1000000000000,\), found \(3,\)"):
        smrdsl.load(tmp_path / "m")


def test_nothing_in_the_folder_is_run(folder):
    trap = "from pathlib import Path\nPath('sprung').touch()\n"
    for file in ("__init__.py", "model.py", "torch.py", "conftest.py"):
        (folder / file).write_text(trap)
    smrdsl.load(folder)
    assert not Path("sprung").exists()


class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)


@pytest.mark.parametrize(
    "write", [lambda f: torch.save({"a": Trap()}, f), lambda f: f.write_bytes(pickle.dumps(Trap()))]
)
def test_pickles_are_never_read(write, folder):
    write(folder / "weights.safetensors")
    with pytest.raises(WeightsError, match="is no safetensors file"):
        smrdsl.load(folder)
    assert not Path("sprung").exists()


def test_text_of_a_spec_never_becomes_code(tmp_path, monkeypatch):
    """What a spec says about itself is written into comments of the generated source."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(package, "_draw", lambda g, folder: None)
    name = 'q"""\rimport os\\u12.smr'
    Path(name).write_text("model path {\r signal(\rchannels=2\r)  linear(\r2) }")
    model = smrdsl.compile(name, mode="infer")
    model.save("out")
    source = Path("out/model.py").read_text()
    assert not [line for line in source.splitlines() if line.startswith(("import os", "channels", "2)"))]
    scope = {"__file__": str(Path("out/model.py").resolve())}
    exec(compile(source, "model.py", "exec"), scope)
    u = torch.randn(1, 3, 2)
    assert torch.equal(scope["Path"].load()(u), model(u))


def test_modules_that_share_a_tensor_inside_are_saved(tmp_path, monkeypatch):
    from smrdsl.ops import registry

    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(package, "_draw", lambda g, folder: None)

    @smrdsl.operator(name="twice", pointwise=True)
    class Twice(torch.nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.one = torch.nn.Linear(width, width)
            self.two = torch.nn.Linear(width, width)
            self.two.weight = self.one.weight

        def forward(self, x):
            return self.two(self.one(x))

    model = smrdsl.compile_text("model m { signal(channels=3) twice }", mode="infer")
    model.save(tmp_path / "m")
    again = smrdsl.load(tmp_path / "m")
    u = torch.randn(2, 4, 3)
    assert torch.equal(again(u), model(u))
    registry._registered.clear()
    with pytest.raises(smrdsl.SmrError, match="uses the operator `twice`, which is not known here"):
        smrdsl.load(tmp_path / "m")
