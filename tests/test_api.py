"""What `import smrdsl` gives: every name of the interface, used as a reader of it would."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import smrdsl
from smrdsl.ops import registry
from smrdsl.runtime.errors import StepError
from smrdsl.runtime.model import CompiledModel

SPEC = """model small(width = 4, kind = layer, steps = 0.001..0.1) {
  signal(channels=2, length=16)
  linear(width)
  residual { norm(kind)  s4d(state=2, dt=steps) }
}
model wide extends small(width=8) { }
"""
U = torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def file(tmp_path) -> Path:
    (tmp_path / "spec.smr").write_text(SPEC)
    return tmp_path / "spec.smr"


def test_all_that_is_promised_is_there():
    assert sorted(smrdsl.__all__) == [
        "CompiledModel", "Diagnostic", "Graph", "Limits", "Operator", "SmrError", "SpecError", "check",
        "check_text", "compile", "compile_text", "layer", "load", "lower", "operator", "ops", "probe", "render",
        "train",
    ]  # fmt: skip
    for name in smrdsl.__all__:
        assert getattr(smrdsl, name) is not None
        assert name in dir(smrdsl)
    with pytest.raises(AttributeError, match="module 'smrdsl' has no attribute 'complie'"):
        _ = smrdsl.complie


def test_what_needs_no_torch_imports_none():
    code = (
        "import smrdsl, sys; smrdsl.check_text('model m { signal(channels=1) gelu }')\n"
        "assert not {'torch', 'networkx', 'graphviz'} & set(sys.modules)\n"
        "smrdsl.ops(); smrdsl.Graph; smrdsl.SpecError; smrdsl.operator; smrdsl.Limits\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_compile(file):
    model = smrdsl.compile(file, model="wide", length=8, batch=3, mode="infer", seed=2, set={"kind": "rms"})
    assert isinstance(model, smrdsl.CompiledModel)
    assert (model.graph.name, model.graph.arguments) == (
        "wide",
        {"width": "8", "kind": "rms", "steps": "0.001..0.1"},
    )
    assert model(U).shape == (2, 5, 8)
    assert model.plan.conditions.length == 8
    assert model.plan.conditions.batch == 3
    by_text = smrdsl.compile_text(SPEC, "wide", seed=2, set={"kind": "rms"})
    assert all(torch.equal(v, by_text.state_dict()[k]) for k, v in model.state_dict().items())
    assert smrdsl.compile(str(file)).graph.name == "small"


def test_weights(file, tmp_path, monkeypatch):
    monkeypatch.setattr("smrdsl.runtime.package._draw", lambda g, folder: None)
    model = smrdsl.compile(file, seed=3, mode="infer")
    model.save(tmp_path / "saved")
    for weights in (tmp_path / "saved", str(tmp_path / "saved/weights.safetensors")):
        again = smrdsl.compile(file, weights=weights, mode="infer")
        assert torch.equal(again(U), model(U))
    exact = smrdsl.compile(file, weights=tmp_path / "saved", dtype="float64")
    assert torch.equal(exact.linear.weight, model.linear.weight.double())
    with pytest.raises(smrdsl.SmrError, match=r"linear.weight: wanted \(8, 2\), found \(4, 2\)"):
        smrdsl.compile(file, "wide", weights=tmp_path / "saved")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(8, "8"), (np.int64(8), "8"), (None, "none"), (True, "true")],
)
def test_values_of_python(value, shown):
    text = "model m(v = 4) { signal(channels=2) when v == none { gelu } else { relu } }"
    assert smrdsl.compile_text(text, set={"v": value}).graph.arguments == {"v": shown}


def test_words_ranges_and_what_is_no_value(file):
    graph = smrdsl.lower(file, set={"kind": "rms", "steps": (0.01, 0.2)})
    assert dict(graph.arguments) == {"width": "4", "kind": "rms", "steps": "0.01..0.2"}
    for wrong in ({1}, {"a": 1}, b"rms", (0.2, 0.1), (1, 2, 3), object()):
        with pytest.raises(smrdsl.SmrError, match="set: `kind` is a "):
            smrdsl.lower(file, set={"kind": wrong})
    with pytest.raises(smrdsl.SpecError, match="no parameter `knd`, did you mean `kind`"):
        smrdsl.lower(file, set={"knd": 1})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mode": "fast"}, "no mode `fast`; there are train, infer, decode"),
        ({"length": 0}, "length must be a whole number from 1"),
        ({"batch": "3"}, "batch must be a whole number from 1"),
        ({"seed": "one"}, "the seed must be a whole number, this is 'one'"),
        ({"seed": True}, "the seed must be a whole number"),
        ({"dtype": torch.bfloat16}, "no dtype `bfloat16`; there are float32 and float64"),
        ({"device": "nonsense"}, "cannot use the device `nonsense`"),
        ({"disable": ["dead-cod"]}, "no pass `dead-cod`, did you mean `dead-code`"),
        ({"model": "wid"}, "no model `wid` in this file, did you mean `wide`"),
        ({"weights": "nowhere"}, "E0901: nowhere does not exist"),
    ],
)
def test_options_that_cannot_be(options, told, file):
    with pytest.raises(smrdsl.SmrError, match=told):
        smrdsl.compile(file, **options)


def test_options_that_there_are_not(file):
    with pytest.raises(TypeError, match="lenght"):
        smrdsl.compile(file, lenght=3)


def test_lower_and_render(file, tmp_path):
    graph = smrdsl.lower(file, "wide")
    assert isinstance(graph, smrdsl.Graph)
    assert list(graph.keys) == ["signal", "linear", "norm", "s4d", "residual"]
    with pytest.raises(smrdsl.SpecError) as caught:
        smrdsl.lower(file, limits=smrdsl.Limits(nodes=1))
    assert caught.value.diagnostics[0].code == "E0702"
    assert smrdsl.render(graph, tmp_path / "arch.dot", level="block").read_text().startswith("digraph")


def test_the_room_of_operators_is_the_registry():
    known = smrdsl.ops()
    assert known["s4d"].name == "s4d"
    assert isinstance(known["s4d"], smrdsl.Operator)
    from smrdsl.ops.contract import Operator

    assert Operator is smrdsl.Operator


def test_diagnostics():
    text = "model m(n = 2) {\n  signal(channels=1)\n  let n = 3\n  gelux\n}\n"
    with pytest.raises(smrdsl.SpecError) as caught:
        smrdsl.compile_text(text)
    twice, unknown = caught.value.diagnostics
    assert isinstance(unknown, smrdsl.Diagnostic)
    assert (unknown.code, unknown.severity, unknown.path) == ("E0202", "error", "<text>")
    assert (unknown.line, unknown.column, unknown.end) == (4, 3, (4, 8))
    assert unknown.message == "unknown operator `gelux`, did you mean `gelu`?"
    assert (unknown.fix.message, unknown.fix.replacement, unknown.fix.span.text) == (
        "write `gelu`",
        "gelu",
        "gelux",
    )
    assert unknown.related == ()
    assert twice.code == "E0203"
    assert twice.related[0].span.line == 1
    assert str(caught.value) == "\n".join(map(str, caught.value.diagnostics))
    assert [str(d) for d in smrdsl.check_text(text)] == [str(d) for d in caught.value.diagnostics]


def test_check(file, tmp_path):
    assert smrdsl.check(file) == smrdsl.check(str(file)) == []
    (missing,) = smrdsl.check(tmp_path / "none.smr")
    assert (missing.code, missing.line, missing.column, missing.end) == ("E0601", 1, 1, (1, 1))
    (warning,) = smrdsl.check_text("model m { signal(channels=1) gelu remove gelu where false }")
    assert (warning.code, warning.severity) == ("E0502", "warning")
    assert [d.code for d in smrdsl.check_text(SPEC, smrdsl.Limits(text=10))] == ["E0701"]


# --- layers in other people's modules


def test_a_layer_is_a_module_like_any_other():
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = nn.Linear(3, 16)
            self.mixer = smrdsl.layer("residual { norm(layer) s4(state=8) }", width=16, seed=1)

        def forward(self, x):
            return self.mixer(self.inside(x))

    block, x = Block(), torch.randn(2, 5, 3)
    assert isinstance(block.mixer, CompiledModel)
    assert "mixer.s4.log_dt" in block.state_dict()
    assert "mixer.norm.weight" in block.state_dict()
    y = block(x)
    y.sum().backward()
    assert all(p.grad is not None for p in block.parameters())
    other = Block()
    other.load_state_dict(block.state_dict())
    assert torch.equal(other(x), y)
    state, steps = block.mixer.initial_state(2), []
    for t in range(5):
        y_t, state = block.mixer.step(block.inside(x[:, t]), state)
        steps.append(y_t)
    torch.testing.assert_close(torch.stack(steps, 1), y)


@pytest.mark.parametrize(
    "step", ["gelu", "s4d(state=2)", "residual { linear(width) }", "linear(2 * width) glu linear(16)"]
)
def test_layers(step):
    assert smrdsl.layer(step, width=16)(torch.zeros(1, 3, 16)).shape == (1, 3, 16)


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        ("gelux", (1, 1), "E0202"),
        ("gelu\n  s4(state=7)", (2, 12), "E0305"),
        ("residual {\n  linear(3)\n}", (1, 1), "E0402"),
        ("residual {\n  linear(\n}", (2, 10), "E0103"),
        ("", (1, 1), "E0105"),
        ("model m { signal(channels=1) }", (1, 1), "E0104"),
        ("signal(channels=3)", (1, 1), "E0404"),
    ],
)
def test_mistakes_in_a_layer_point_into_its_text(text, place, code):
    with pytest.raises(smrdsl.SpecError) as caught:
        smrdsl.layer(text, width=16)
    first = caught.value.diagnostics[0]
    assert (first.path, (first.line, first.column)) == ("<layer>", place)
    assert code in {d.code for d in caught.value.diagnostics}


@pytest.mark.parametrize("width", [0, -1, 2.0, "16", True, None])
def test_widths_that_there_are_not(width):
    with pytest.raises(ValueError, match="width must be a whole number of at least 1"):
        smrdsl.layer("gelu", width=width)


# --- operators of one's own


@pytest.fixture
def forgotten(monkeypatch):
    """Operators that a test registers are known to it alone."""
    monkeypatch.setattr(registry, "_registered", {})


def test_an_operator_of_ones_own_from_the_text_to_the_stream(forgotten):
    @smrdsl.operator(name="leaky", families=("mixer",))
    class Leaky(nn.Module):
        """Leaky average of each channel."""

        def __init__(self, width: int, keep: float = 0.9) -> None:
            super().__init__()
            self.keep, self.out = keep, nn.Linear(width, width)

        def forward(self, x):
            state, outputs = x.new_zeros(x.shape[0], x.shape[2]), []
            for t in range(x.shape[1]):
                y, state = self.step(x[:, t], state)
                outputs.append(y)
            return torch.stack(outputs, 1)

        def initial_state(self, batch):
            return torch.zeros(batch, self.out.in_features)

        def step(self, x, state):
            state = self.keep * state + (1 - self.keep) * x
            return self.out(state), state

    assert "leaky" in smrdsl.ops()
    text = "model m { signal(channels=2) linear(4) residual { leaky(keep=0.5) } place gelu after leaky }"
    model = smrdsl.compile_text(text, mode="infer")
    assert "leaky.inner.out.weight" in model.state_dict()
    stream = model.stream(2)
    parts = (stream(U[:, :3]), stream(U[:, 3])[:, None], stream(U[:, 4:]))
    torch.testing.assert_close(torch.cat(parts, 1), model(U))
    (wrong,) = smrdsl.check_text("model m { signal(channels=2) leaky(kep=0.5) }")
    assert wrong.message == "unknown argument `kep` of `leaky`, did you mean `keep`?"


def test_an_operator_without_a_step_cannot_be_streamed(forgotten):
    @smrdsl.operator(name="mixer2")
    class Mixer2(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.conv = nn.Conv1d(width, width, 3, padding=1)

        def forward(self, x):
            return self.conv(x.transpose(1, 2)).transpose(1, 2)

    model = smrdsl.compile_text("model m {\n  signal(channels=2)\n  mixer2\n}")
    assert model(U).shape == (2, 5, 2)
    with pytest.raises(StepError, match=r"`mixer2` at <text>:3:3 looks ahead or has no step; use model\(u\)"):
        model.initial_state(1)
