"""The conformance examples mean what their headers say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import smrdsl
from smrdsl.graph.graph import Graph

EXAMPLES = Path(__file__).parent / "examples"
SPECS = Path(__file__).parent.parent / "specs"


def ops_of(g: Graph) -> list[str]:
    return [node.op.name for _, node, _ in g]


def test_01_quickstart_and_its_baseline() -> None:
    path = EXAMPLES / "01_quickstart.smr"
    model = smrdsl.compile(path, mode="infer")
    baseline = smrdsl.compile(path, "quickstart_baseline")
    assert model.graph.name == "quickstart"
    assert model(torch.randn(2, 32, 1)).shape == (2, 10)
    assert ops_of(model.graph).count("smr") == ops_of(model.graph).count("s4") == 4
    ours, theirs = model.state_dict(), baseline.state_dict()
    assert {k for k in ours if ".smr." not in k} == set(theirs)
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)


def test_02_language_model() -> None:
    model = smrdsl.compile(EXAMPLES / "02_language_model.smr", mode="infer", set={"width": 16, "depth": 2})
    u = torch.randint(0, 256, (2, 11))
    with torch.no_grad():
        y = model(u)
        state, steps = model.initial_state(2), []
        for t in range(11):
            y_t, state = model.step(u[:, t], state)
            steps.append(y_t)
    assert y.shape == (2, 11, 256)
    torch.testing.assert_close(torch.stack(steps, 1), y, rtol=1e-4, atol=1e-5)
    names = model.state_dict().keys()
    assert "tok.weight" in names
    assert not any(name.startswith("head") for name in names)


def test_03_place() -> None:
    g = smrdsl.lower(EXAMPLES / "03_place.smr", "mamba_smr_lm")
    gates = [k for k in g.keys if g.node(k).op.name == "smr"]
    assert [k.split(".")[:2] for k in gates] == [["layers", "1"], ["layers", "3"], ["layers", "5"]]
    for key in gates:
        assert g.node(key).type.width == 2 * 64
        (reader,) = g.readers(key)
        assert g.node(reader).op.name == "s6"
    base = smrdsl.lower(EXAMPLES / "03_place.smr", "mamba_lm")
    assert {*base.keys} == {*g.keys} - {*gates}


def test_05_dataflow() -> None:
    model = smrdsl.compile(EXAMPLES / "05_dataflow.smr", mode="infer")
    u = torch.randn(2, 9, 8)
    with torch.no_grad():
        y, state = model(u), model.initial_state(2)
        for t in range(9):
            last, state = model.step(u[:, t], state)
    assert y.shape == u.shape
    torch.testing.assert_close(last, y[:, -1], rtol=1e-4, atol=1e-5)


def test_07_irregular() -> None:
    path = EXAMPLES / "07_irregular.smr"
    model = smrdsl.compile(path, mode="infer", dtype="float64")
    text = path.read_text(encoding="utf-8").replace(", timed=true", "")
    untimed = smrdsl.compile_text(text, mode="infer", dtype="float64")
    u, dt = torch.randn(2, 9, 1).double(), torch.ones(2, 9).double()
    with torch.no_grad():
        torch.testing.assert_close(model(u, dt), untimed(u), rtol=1e-9, atol=1e-9)
        assert not torch.allclose(model(u, 2 * dt), untimed(u))
    with pytest.raises(smrdsl.SmrError, match="the model is timed: dt must be"):
        model(u)


def test_04_hybrid() -> None:
    g = smrdsl.lower(EXAMPLES / "04_hybrid.smr")
    layers = {i: [g.node(k).op.name for k in g.keys if k.startswith(f"layers.{i}.")] for i in range(8)}
    assert [i for i in layers if "attention" in layers[i]] == [3, 7]
    assert all(("s4d" in layers[i]) != ("attention" in layers[i]) for i in layers)
    asked = {k: g.node(k).strategy for k in g.keys if g.node(k).strategy != "auto"}
    assert asked == {"layers.0.s4d": "recurrent"}


def test_06_two_ways() -> None:
    model = smrdsl.compile(EXAMPLES / "06_two_ways.smr", mode="infer")
    assert model(torch.randn(2, 9, 1)).shape == (2, 2)
    assert model.graph.node("bidirectional").type.width == 96
    with pytest.raises(smrdsl.SmrError, match="`bidirectional`"):
        model.step(torch.randn(2, 1), {})


def test_08_edits() -> None:
    path = EXAMPLES / "08_edits.smr"
    g = smrdsl.lower(path, "light")
    for i in range(3):
        assert g.node(f"layers.{i}.mix").op.name == "s4d"
        assert g.node(f"layers.{i}.mix").params.state == 16
        assert g.inputs(f"layers.{i}.dropout") == (f"layers.{i}.mix",)
        assert g.inputs(f"layers.{i}.gelu") == (f"layers.{i}.dropout",)
    assert "glu" not in ops_of(g)
    assert g.node("layers.0.mix").type.width == 32
    assert smrdsl.lower(path).node("layers.0.mix").params.state == 64


@pytest.mark.parametrize("case", ["shapes", "unknown_names"])
def test_errors_say_what_their_header_says(case: str) -> None:
    """The header lists `line:column what it must say`; each is told, and nothing else."""
    path = EXAMPLES / "errors" / f"{case}.smr"
    header = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
    wanted = re.findall(r"(\d+):(\d+) (.*?)(?=\s+\d+:\d+ |$)", header)
    found = smrdsl.check(path)
    assert [(str(d.line), str(d.column)) for d in found] == [(line, column) for line, column, _ in wanted]
    for diagnostic, (_, _, text) in zip(found, wanted, strict=True):
        for word in re.findall(r"`(\w+)`", text):
            assert word in diagnostic.message


def test_too_big_is_refused_with_the_figure() -> None:
    (only,) = smrdsl.check(EXAMPLES / "errors" / "too_big.smr")
    assert (only.code, "4e18 parameters" in only.message) == ("E0703", True)


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.smr")), ids=lambda p: p.stem)
def test_specs_compile_and_are_in_the_one_style(path: Path) -> None:
    from smrdsl.core.errors import Report
    from smrdsl.core.source import Source
    from smrdsl.syntax.format import format_text

    assert smrdsl.check(path) == []
    text = path.read_text(encoding="utf-8")
    assert format_text(Source(str(path), text), Report()) == text
