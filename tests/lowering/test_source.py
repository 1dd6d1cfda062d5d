"""The generated source: readable, and the same numbers."""

from pathlib import Path

import pytest
import torch

import smrdsl
from smrdsl.compiler import lower_source
from smrdsl.core.source import Source
from smrdsl.lowering.source import class_name, write_source
from smrdsl.runtime.errors import WeightsError

HERE = Path(__file__).parent
EXAMPLES = [p for p in sorted((HERE.parent / "examples").glob("0*.smr")) if not smrdsl.check(p)]


def own(model: smrdsl.CompiledModel):
    """The class of a model's source, with the model's weights."""
    scope = {"__file__": "model.py"}
    exec(compile(model.source, "model.py", "exec"), scope)
    made = scope[class_name(model.graph.name)]()
    made.load_state_dict(model.state_dict())
    return made.eval()


def sequence(model: smrdsl.CompiledModel, length: int) -> torch.Tensor:
    type_ = model.graph.node(model.graph.input).type
    random = torch.Generator().manual_seed(0)
    if type_.kind == "index":
        return torch.randint(0, type_.vocab, (2, length), generator=random)
    return torch.randn(2, length, type_.width, generator=random)


def test_what_it_looks_like(golden):
    text = (HERE / "small.smr").read_text(encoding="utf-8")
    graph = lower_source(Source("small.smr", text)).graph
    golden(HERE / "small.py.txt", write_source(graph))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_it_computes_the_same(path):
    model = smrdsl.compile(path, mode="infer")
    made, u = own(model), sequence(model, 6)
    clock = (torch.rand(2, 6, generator=torch.Generator().manual_seed(1)),) if model.graph.timed else ()
    torch.testing.assert_close(made(u, *clock), model(u, *clock))  # the source is of the layers apart
    assert list(made.state_dict()) == list(model.state_dict())
    if model.graph.look_ahead():
        assert not hasattr(made, "step")
        return
    state = model.initial_state(2)
    wanted, wanted_state = model.step(u[:, 0], state, *(c[:, 0] for c in clock))
    found, found_state = made.step(u[:, 0], state, *(c[:, 0] for c in clock))
    torch.testing.assert_close(found, wanted)
    assert found_state.keys() == wanted_state.keys()
    torch.testing.assert_close(found_state, dict(wanted_state))


def test_arguments_are_written_in_full():
    """Ranges with all their digits, so that what is made of the source has the very same parameters."""
    low = 0.0012345678901234
    model = smrdsl.compile_text(f"model m {{ signal(channels=2) s4d(state=2, dt={low}..0.1) }}")
    assert f'dt="{low!r}..0.1"' in model.source
    assert own(model).s4d.p == model.s4d.p


def test_lines_of_imported_files_are_told_with_the_file():
    text = 'import "std/s4_block.smr"\nmodel m {\n  signal(channels=2)\n  s4_block(4)\n  linear(3)\n}'
    source = smrdsl.compile_text(text).source
    assert "  # std/s4_block.smr:16: s4(state=state" in source
    assert "  # 5: linear(3)" in source


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("byte_lm", "ByteLm"),
        ("m", "M"),
        ("_", "Model"),
        ("_3d", "Model3d"),
        ("None_", "ModelNone"),
        ("aB_c", "ABC"),
    ],
)
def test_names_of_classes(name, cls):
    assert class_name(name) == cls


def test_it_says_what_is_missing(tmp_path, monkeypatch):
    from smrdsl.runtime.generated import layer

    with pytest.raises(smrdsl.SmrError, match="the operator `gone` is not known here"):
        layer("gone", "B L 4")
    model = smrdsl.compile_text("model m { signal(channels=2) linear(2) }")
    scope = {"__file__": str(tmp_path / "model.py")}
    exec(compile(model.source, "model.py", "exec"), scope)
    with pytest.raises(WeightsError, match=r"weights\.safetensors does not exist"):
        scope["M"].load()
