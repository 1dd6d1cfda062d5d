"""Check: what every graph must obey, at each stage. A breach is a bug of ours, so it is an AssertionError.

acyclic            an order exists in which each node stands behind its inputs
ports              the inputs of a node are numbered 0, 1, ... without gaps
types              each node's type is what its operator's shape rule gives for its inputs
one input          exactly one node of the family `input`
ties               a shared weight exists and has the shape that is needed
strategies         a node asks only for a strategy that its operator has
"""

from __future__ import annotations

import networkx as nx

from smrdsl.graph.graph import Graph


def check(g: Graph) -> None:
    """Raise AssertionError where the graph breaks a law."""
    assert nx.is_directed_acyclic_graph(g.nx), f"{g.name}: the graph has a cycle"
    inputs = [k for k in g.keys if "input" in g.node(k).op.families]
    assert len(inputs) == 1, f"{g.name}: {len(inputs)} inputs"
    for key in g.keys:
        _check_node(g, key)


def _check_node(g: Graph, key: str) -> None:
    node = g.node(key)
    ports = sorted(port for _, _, port in g.nx.in_edges(key, keys=True))
    assert ports == list(range(len(ports))), f"{key}: ports {ports}"
    inferred = node.op.infer(node.params, g.input_types(key))
    assert inferred == node.type, f"{key}: its type is {node.type}, its shape rule gives {inferred}"
    allowed = (*node.op.strategies, "auto")
    assert node.strategy in allowed, f"{key}: strategy {node.strategy}, not one of {allowed}"
    if node.shares is not None:
        assert node.shares in g.nx, f"{key} shares the weight of {node.shares}, which is gone"
        assert "weight" in g.parameters(node.shares), f"{node.shares} has no weight to share"
