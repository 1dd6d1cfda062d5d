"""Cost: a row for each node, from what the operators declare."""

import pytest

from smrdsl.graph.cost import acausal, rows, total
from tests.draw.graphs import QUICKSTART, graph, model


def test_a_row_for_each_node_in_order():
    g = graph(QUICKSTART)
    assert [r.path for r in rows(g, 64)] == list(g.keys)
    row = next(r for r in rows(g, 64) if r.path == "layers.2.dropout")
    assert (row.operator, row.arguments, row.output) == ("dropout", "p=0.1", "(B, L, 16)")
    assert str(row.location) == "spec.smr:6:63"


def test_parameters_are_those_of_the_graph():
    g = graph(QUICKSTART)
    assert total(rows(g, 64)).parameters == sum(p.size for key in g.keys for p in g.parameters(key).values())


@pytest.mark.parametrize("strategy", ["conv", "scan", "recurrent"])
def test_work_is_that_of_the_strategy(strategy):
    g = model(f"s4d(state=4)  execute s4d as {strategy}")
    node, types = g.node("s4d"), g.input_types("s4d")
    (row,) = [r for r in rows(g, 100) if r.path == "s4d"]
    assert row.flops == node.op.cost(node.params, types, node.type, 100, strategy).flops


def test_left_to_the_plan_it_is_that_of_the_first():
    free, pinned = model("s4d(state=4)"), model("s4d(state=4)  execute s4d as conv")
    assert [r.flops for r in rows(free, 100)] == [r.flops for r in rows(pinned, 100)]


def test_memory_follows_batch_and_dtype_but_counters_are_whole_numbers():
    g = model("attention(heads=2, window=4)")
    single, double = (rows(g, 10, batch, dtype)[1] for batch, dtype in ((1, "float32"), (5, "float64")))
    assert double.activations == 10 * single.activations
    assert double.flops == single.flops
    assert (single.state, double.state) == (2 * 3 * 8 * 4 + 8, 2 * 3 * 8 * 8 + 8)


def test_what_looks_ahead():
    g = model("repeat 2 { conv1d(kernel=3, causal=false) }  bidirectional(merge=add) { gelu }")
    assert [r.operator for r in acausal(rows(g, 10))] == ["conv1d", "bidirectional"]
    assert total(rows(g, 10)).looks_ahead
    assert not acausal(rows(graph(QUICKSTART), 10))
