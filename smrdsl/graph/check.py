"""Check: what every graph must obey, at each stage. A breach is a bug of ours, or of a file that was read.

names              the model's is an identifier; a key is names and numbers with dots between, and no key is
                   the beginning of another
one input          exactly one node of the family `input`
streams            a node reads as many streams as its operator takes, at the ports 0, 1, ...
types              its type is what its operator's shape rule gives for them
ties               a node shares weights exactly where its arguments say so, of the shapes that are needed
strategies         a node asks only for a strategy that its operator has
fusions            a fused node reads what it says that its parts read from outside; its type is theirs to say, and is
                   held against the shape rules of its readers

That there is no cycle is seen to where graphs are built.
"""

from __future__ import annotations

import re

from smrdsl.graph.graph import Graph, GraphError, Node
from smrdsl.ops.contract import Operator, inferred, tie_of

NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
KEY = re.compile(r"[A-Za-z_]\w*(\.([A-Za-z_]\w*|\d+))*", re.ASCII)


def check(g: Graph) -> None:
    """Raise `GraphError` where the graph breaks a law."""
    inputs = [k for k in g.keys if "input" in g.node(k).op.families]
    _need(len(inputs) == 1, f"{g.name}: {len(inputs)} inputs")
    _check_names(g)
    for key in g.keys:
        _check_node(g, key)
    for key in g.keys:
        _check_tie(g, key, g.node(key))


def _need(holds: bool, message: str) -> None:
    if not holds:
        raise GraphError(message)


def _check_names(g: Graph) -> None:
    _need(NAME.fullmatch(g.name) is not None, f"{g.name!r} cannot name a model")
    for key in g.keys:
        _need(KEY.fullmatch(key) is not None, f"{key!r} is no path")
        outer = key.rpartition(".")[0]
        while outer:
            _need(outer not in g.nx, f"{key} stands inside the node {outer}")
            outer = outer.rpartition(".")[0]


def _check_node(g: Graph, key: str) -> None:
    node, types = g.node(key), g.input_types(key)
    ports = [port for _, _, port in g.nx.in_edges(key, keys=True)]
    _need(sorted(ports) == list(range(len(ports))), f"{key}: ports {sorted(ports)}")
    if node.fusion:
        _need(len(ports) == len(node.fusion.inputs), f"{key}: a fusion of {len(ports)} streams")
        return
    _need(takes(node.op, len(ports)), f"{key}: `{node.op.name}` reads {len(ports)} streams")
    found = inferred(node.op, node.params, types)
    _need(found == node.type, f"{key}: its type is {node.type}, its shape rule gives {found}")
    allowed = (*node.op.ways(node.params), "auto")
    _need(node.strategy in allowed, f"{key}: strategy {node.strategy}, not one of {allowed}")


def takes(op: Operator, streams: int) -> bool:
    """Whether an operator takes so many streams; a last "..." stands for any number of further ones."""
    if op.streams[-1:] == ("...",):
        return streams >= max(1, len(op.streams) - 1)
    return streams == len(op.streams)


def _check_tie(g: Graph, key: str, node: Node) -> None:
    if node.fusion:
        return
    tie = tie_of(node.params)
    _need((tie is None) == (node.shares is None), f"{key}: it shares {node.shares}, its arguments say {tie and tie[0]}")
    if tie is None or node.shares is None:
        return
    _need(node.shares in g.nx, f"{key} shares the weight of {node.shares}, which is gone")
    found = g.parameters(node.shares)
    for name, wanted in g.shared(key).items():
        fits = name in found and found[name].shape == wanted.shape
        _need(fits, f"{key}: the {name} of {node.shares} does not fit")
