"""Manual: what the registry says, as data and as pages."""

import subprocess
import sys

import pytest

from smrdsl.ops.manual import Argument, by_family, manual, markdown, write_pages, written
from smrdsl.ops.registry import operators

OPS = operators()


def argument(op: str, name: str) -> Argument:
    return next(a for a in manual(OPS[op]).arguments if a.name == name)


@pytest.mark.parametrize(
    ("op", "name", "takes", "default"),
    [
        ("linear", "width", "whole number above 0", None),
        ("linear", "tie", "the label of a step, or none", "none"),
        ("norm", "kind", "one of layer, rms, batch, scale", "layer"),
        ("attention", "positions", "one of rotary, t5, or none", "none"),
        ("attention", "dropout", "number at least 0 and below 1", "0"),
        ("s4", "state", "whole number above 0 and a multiple of 2", "64"),
        ("s4", "dt", "range low..high", "0.001..0.1"),
        ("affine", "shift", "true or false", "true"),
    ],
)
def test_what_an_argument_takes(op, name, takes, default):
    assert (argument(op, name).takes, argument(op, name).default) == (takes, default)


def test_a_family_is_told_by_its_members():
    assert argument("mlp", "act").takes.startswith("an operator of the family act: gelu, laplace, relu,")


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (None, "none"), (0.1, "0.1"), (3, "3"), ([1, 2.5], "[1, 2.5]"), ("rms", "rms")],
)
def test_values_are_written_as_in_a_spec(value, text):
    assert written(value) == text


@pytest.mark.parametrize("name", OPS)
def test_every_argument_is_described(name):
    for a in manual(OPS[name]).arguments:
        assert a.description, f"{name}: {a.name} has no description"


def test_examples_show_what_follows_from_the_arguments():
    first, *_ = manual(OPS["linear"]).examples
    assert (first.call, first.inputs, first.output) == ("linear(width=5)", ("(B, L, 8)",), "(B, L, 5)")
    assert (first.parameters, first.state) == ({"weight": "(5, 8)", "bias": "(5,)"}, {})


def test_looking_ahead_follows_the_arguments():
    answers = [manual(OPS[name]).looks_ahead for name in ("linear", "conv1d", "bidirectional")]
    assert answers == ["never", "depends on its arguments", "always"]


def test_families_hold_every_step_once():
    listed = [op.name for ops in by_family().values() for op in ops]
    assert sorted(listed) == sorted(name for name, op in OPS.items() if not op.structural)


def test_tables_of_a_page_are_even():
    for name, op in OPS.items():
        rows = [line.replace(r"\|", "") for line in markdown(op).splitlines() if line.startswith("|")]
        assert {row.count("|") for row in rows} <= {5}, name


def test_pages_are_the_same_each_time(tmp_path):
    first = {path.name: path.read_text(encoding="utf-8") for path in write_pages(tmp_path)}
    assert "index.md" in first
    assert all(f"]({name})" in first["index.md"] for name in first if name != "index.md")
    command = [sys.executable, "-W", "error", "-m", "smrdsl.ops.manual", str(tmp_path / "again")]
    told = subprocess.run(command, capture_output=True, check=True, text=True)
    assert told.stderr == ""
    assert {p.name: p.read_text(encoding="utf-8") for p in (tmp_path / "again").iterdir()} == first
