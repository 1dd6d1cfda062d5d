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
