"""A stranger's text costs bounded time: what is too large is refused with the figure, before anything is made of it."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from smrdsl.core.errors import Diagnostic, SpecError
from smrdsl.spec.files import read_source
from smrdsl.spec.limits import Limits
from smrdsl.spec.resolve import check, check_text

SMALL = Limits(nodes=2_000)
"""Limits that make what is bounded by them quick, so that what is not stands out."""
SECONDS = 10
"""About ten times what the slowest text takes where this was written, and far below what one without bounds would."""


def timed(text: str, limits: Limits = SMALL) -> list[Diagnostic]:
    """The diagnostics of a text, found soon."""
    start = time.process_time()
    found = check_text(text, limits)
    assert time.process_time() - start < SECONDS
    return found


def chain(count: int, last: str = "skip", twice: str = "") -> str:
    """Components that use one another, each the next."""
    inner = " ".join(f"component c{i} {{ c{i + 1} {twice.format(i + 1)} }}" for i in range(count))
    return f"{inner} component c{count} {{ {last} }} model m {{ signal(channels=1) c0 }}"


# --- figures


def test_text() -> None:
    (only,) = check_text("model m { signal(channels=1) }" + " " * 100, Limits(text=100))
    assert (only.code, only.message) == ("E0701", "the text has 130 bytes, and 100 is the most")
    assert check_text("model m { signal(channels=1) }" + " " * 70, Limits(text=100)) == []


def test_text_of_a_file_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "large.smr"
    with path.open("wb") as file:
        file.truncate(2**40)  # a file of holes, which has a size and takes no space
    with pytest.raises(SpecError, match=r"large\.smr has 1,099,511,627,776 bytes of text, more than 1,000,000"):
        read_source(path)
    (tmp_path / "m.smr").write_text('import "large.smr" model m { signal(channels=1) }')
    (only,) = check(tmp_path / "m.smr")
    assert (only.code, only.column) == ("E0701", 8)


@pytest.mark.parametrize(
    "steps",
    ["gelu " * 2_000, "repeat 2_000 { gelu }", "repeat 50 { repeat 50 { gelu } }", "it := it + it " * 2_000],
    ids=["written", "repeated", "nested", "flows"],
)
def test_nodes(steps: str) -> None:
    (only,) = timed(f"model m {{ signal(channels=1) {steps} }}")
    assert (only.code, only.message) == ("E0702", "the model has more than 2,000 nodes")


def test_as_many_nodes_as_are_allowed() -> None:
    assert timed("model m { signal(channels=1) repeat 1_999 { gelu } }") == []


def test_parameters() -> None:
    (only,) = check_text("model m { signal(channels=2**20) linear(2**20) linear(2**20) gelu }")
    assert only.code == "E0703"
    assert only.message == "the model would have about 2e12 parameters, more than 1e12; `linear` alone has 1e12"
    (only,) = check_text("model m { signal(channels=4) linear(4) }", Limits(parameters=19))
    assert "about 2e01 parameters" in only.message
    assert check_text("model m { signal(channels=4) linear(4) }", Limits(parameters=20)) == []


# --- depth


def test_components_in_components() -> None:
    assert timed(chain(63)) == []
    (only,) = timed(chain(64))
    assert (only.code, only.message) == ("E0704", "components are nested more than 64 deep")
    assert check_text(chain(64), Limits(depth=65)) == []


def test_a_text_that_is_a_chain_of_components() -> None:
    (only,) = timed(chain(10_000))
    assert only.code == "E0704"


def test_blocks_in_components() -> None:
    blocks = "residual { " * 90 + "body" + " }" * 90
    deep = "body"
    for _ in range(8):
        deep = f"c {{ {deep} }}" if deep != "body" else "c { skip }"
    (only,) = timed(f"component c {{ {blocks} }} model m {{ signal(channels=1) {deep} }}")
    assert (only.code, only.message) == ("E0704", "blocks are nested more than 512 deep, components put in")


def test_models_that_extend_models() -> None:
    twins = " ".join(f"model n{i + 1} extends n{i} {{}}" for i in range(65))
    (only,) = timed(f"model n0 {{ signal(channels=1) }} {twins}")
    assert (only.code, only.message) == ("E0704", "models extend one another more than 64 times")


def test_imports_that_import(tmp_path: Path) -> None:
    for i in range(66):
        (tmp_path / f"f{i}.smr").write_text(f'import "f{i + 1}.smr"' if i < 65 else "let a = 1")
    (only,) = check(tmp_path / "f0.smr")
    assert (only.code, only.message) == ("E0704", "imports are nested more than 64 deep")
    assert only.path.endswith("f63.smr")


def test_parameters_that_need_parameters() -> None:
    names = [f"a{i}" for i in range(200)]
    text = f"model m({', '.join(f'{n} = 1' for n in names)}) {{ signal(channels=1) }} model n extends m("
    given = [f"{a} = {b}" for a, b in pairwise(names)]
    assert timed(f"{text}{', '.join(given[:60])}) {{ }}") == []
    (first, *_) = timed(f"{text}{', '.join(given)}) {{ }}")
    assert (first.code, first.message) == ("E0704", "one parameter needs another more than 64 times in a row")


# --- time


LETS = "".join(f"let a{i} = {f'a{i - 1} + 1' if i else 1}\n" for i in range(5_000))
MANY = ", ".join(f"a{i} = {i}" for i in range(2_000))
NEEDED = ", ".join(f"a{i}" for i in range(500))
START = "signal(channels=1)"
LONG = {
    "lets": f"{LETS} model m {{ {START} linear(a4999) }}",
    "lets in a block": f"model m {{ {START} {LETS} linear(a4999) }}",
    "parameters": f"component c({MANY}) {{ gelu }} model m {{ {START} c c c }}",
    "taps": f"model m {{ {START} {' '.join(f'x{i} := it' for i in range(1_900))} it := x0 + x1899 }}",
    "labels": f"model m {{ {START} {' '.join(f'x{i}: gelu' for i in range(1_900))} place silu before x77 }}",
    "twins": f"model m {{ {START} gelu }} {' '.join(f'model n{i} extends m {{}}' for i in range(200))}",
    "ties": "model m { tokens(vocab=8) tok: embed(4) " + "linear(8, tie=tok) linear(4) " * 900 + "}",
    "branches": f"model m {{ {START} parallel(merge=concat) {{ {'branch { gelu } ' * 1_500} }} }}",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_what_is_long_but_within_the_limits(text: str) -> None:
    assert timed(text) == []


def repeated(steps: str, edits: str = "") -> str:
    return f"model m {{ {START} repeat 1_000 as i {{ {steps} }} {edits} }}"


TURNS = {
    "over nothing": f"model m {{ {START} repeat 10**9 {{ let a = 1 }} }}",
    "over nothing in nothing": f"model m {{ {START} {'repeat 10 { ' * 50} let a = 1 {'}' * 50} }}",
    "components doubled": chain(40, twice="c{}"),
    "components of nothing doubled": chain(40, last="let a = 1", twice="c{}"),
    "bodies doubled": " ".join(f"component c{i} {{ c{i + 1} {{ body body }} }}" for i in range(40))
    + f" component c40 {{ body }} model m {{ {START} c0 {{ skip }} }}",
    "a long call in a loop": repeated(f"let a = min({'1, ' * 5_000} 1)"),
    "a long list in a loop": repeated(f"let a = [{'1, ' * 5_000} 1]"),
    "a long list by its name": f"let a = [{', '.join(map(str, range(1, 5_001)))}] "
    "model m { tokens(vocab=9_999) repeat 1_000 { x := it |> embed(4, cutoffs=a, div=1.0) } }",
    "a long call in an edit": repeated("gelu", f"replace gelu with linear(min({'1, ' * 5_000} 1))"),
    "a long condition": repeated("gelu", f"remove gelu where min(i, {'1, ' * 5_000} 1) > 1"),
    "many edits": repeated("gelu", "place skip after gelu " * 2_000),
    "edits of nothing new": repeated("s4d(state=2)", "execute ssm as scan " * 2_000),
    "replaced by the same": repeated("gelu", "replace gelu with gelu " * 2_000),
    "types inferred anew": repeated("gelu", "place linear(2) after signal remove linear " * 2_000),
    "many parameters": f"component c({MANY}) {{ gelu }} model m {{ {START} {'c ' * 5_000} }}",
}


@pytest.mark.parametrize("text", TURNS.values(), ids=TURNS)
def test_what_takes_too_many_turns_is_given_up(text: str) -> None:
    found = timed(text)
    assert [d.code for d in found if d.severity == "error"] == ["E0702"]


MISTAKES = {
    "unknown operators": (" ".join(f"foo{i}" for i in range(5_000)), 5_000),
    "arguments lacking": ("c " * 2_000, 2_000),
    "arguments unknown": ("c(zzz=1) " * 2_000, 2_000),
    "selectors": ("remove nothing " * 1_500, 1_500),
    "words": ("d(rmz) " * 1_500, 1_500),
}


@pytest.mark.parametrize(("steps", "count"), MISTAKES.values(), ids=MISTAKES)
def test_many_mistakes_are_all_told_soon(steps: str, count: int) -> None:
    head = f"component c({NEEDED}) {{ gelu }} component d(kind) {{ norm(kind) }}"
    found = timed(f"{head} model m {{ {START} {steps} }}", Limits())
    assert sum(d.code != "E0702" for d in found) == count
    assert max(len(d.message) for d in found) < 500


def test_numbers_do_not_grow_without_end() -> None:
    found = timed("let a = 9**9**9**9\nlet b = 10.0**400\nlet c = 2**62 * 2\nmodel m { signal(channels=1) }")
    assert [(d.code, d.line) for d in found] == [("E0307", 1), ("E0307", 2), ("E0307", 3)]
    assert {d.message for d in found} == {"the result is too large (beyond 2**63 or not finite)"}
