"""Passes: what each does to a small graph, and that every one obeys the contract."""

from __future__ import annotations

import pytest

from smrdsl.compiler import lower_source
from smrdsl.core.errors import SmrError
from smrdsl.core.source import Source
from smrdsl.graph.graph import Graph
from smrdsl.graph.show import show
from smrdsl.passes.contract import run_all
from smrdsl.passes.dead_code import DeadCode
from smrdsl.passes.drop_skip import DropSkip
from smrdsl.passes.order import FUSIONS, PASSES, passes_without

BODY = """
  skip
  x := it |> gelu |> tanh
  kept := it |> linear(4)
  residual { skip  s4d(state=2)  skip }
  parallel(merge=add) { branch { skip } branch { silu } }
  skip
"""
MORE = """
  bidirectional(merge=add) { s4d(state=2)  gelu }
  parallel(merge=add) { branch { s4d(state=2) } branch { s4d(state=4) } }
  smr  s4d(state=2)  linear(4)  norm(batch)
"""


def graph(body: str = BODY) -> Graph:
    return lower_source(Source("<text>", f"model m {{ signal(channels=4) {body} }}")).graph


def test_drop_skip() -> None:
    assert show(DropSkip().run(graph())) == (
        "graph m\n"
        "  signal = signal(channels=4) : (B, L, 4)\n"
        "  gelu = gelu() <- signal : (B, L, 4)\n"
        "  tanh = tanh() <- gelu : (B, L, 4)\n"
        "  linear = linear(width=4) <- signal : (B, L, 4)\n"
        "  s4d = s4d(state=2) <- signal : (B, L, 4)\n"
        "  residual = residual() <- signal, s4d : (B, L, 4)\n"
        "  branch.1.silu = silu() <- residual : (B, L, 4)\n"
        "  parallel = parallel(merge=add) <- residual, branch.1.silu : (B, L, 4)\n"
        "  return parallel\n"
    )


def test_dropout_of_nothing_goes_too() -> None:
    g = DropSkip().run(graph("dropout(0.0)  gelu  dropout(0.5)  dropout(0.0, tied=true)"))
    assert g.keys == ("signal", "gelu", "dropout_2")
    assert g.output == "dropout_2"


def test_dead_code_keeps_what_learns() -> None:
    """Weights are part of the model even where the output does not use them, so that a checkpoint loads."""
    kept = DeadCode().run(graph()).keys
    assert "tanh" not in kept
    assert "gelu" not in kept
    assert "linear" in kept


def test_dead_code_keeps_the_owner_of_a_shared_weight() -> None:
    text = "model m { tokens(vocab=8) tok: embed(4) linear(8, bias=false, tie=tok) }"
    g = DeadCode().run(lower_source(Source("<text>", text)).graph)
    assert list(g.keys) == ["tokens", "tok", "linear"]


@pytest.mark.parametrize("p", [*PASSES, *FUSIONS], ids=lambda p: p.name)
def test_a_pass_is_pure_idempotent_and_says_its_law(p) -> None:
    g = graph(BODY + MORE)
    before = show(g)
    once = p.run(g)
    assert show(g) == before
    assert show(p.run(once)) == show(once)
    assert p.law


def test_the_whole_pipeline_is_watched_and_checked() -> None:
    seen: list[str] = []
    run_all(graph(), PASSES, lambda name, g: seen.append(name))
    assert seen == ["start", *(p.name for p in PASSES)]


def test_a_pass_that_lies_about_a_type_dies_at_once() -> None:
    from dataclasses import replace

    from smrdsl.core.types import StreamType

    class Liar(DropSkip):
        name = "liar"

        def run(self, g: Graph) -> Graph:
            return g.rebuild((k, replace(n, type=StreamType.real(5)) if k == "gelu" else n, i) for k, n, i in g)

    with pytest.raises(Exception, match="gelu"):
        run_all(graph(), [Liar()])


def test_passes_are_disabled_by_name() -> None:
    assert [p.name for p in passes_without(["drop-skip"])] == [p.name for p in PASSES if p.name != "drop-skip"]
    with pytest.raises(SmrError, match="did you mean `drop-skip`"):
        passes_without(["drop_skip"])
