"""Context: what a form takes besides its stream and state, and which layers are told of it.

dt        the gap before each sample, in timed models; always given
rate      the gap of all samples, in models with a core that minds the step; None as trained
lengths   how long each sequence of a padded batch is, in the parallel form; None where none is padded
"""

from __future__ import annotations

from smrdsl.graph.graph import Graph

BY_SEQUENCE = frozenset({"dt", "lengths"})
"""What differs from sequence to sequence, and so is given for each of a pair."""


def context(g: Graph, form: str) -> dict[str, bool]:
    """Name -> whether it must be given."""
    names: dict[str, bool] = {}
    if g.timed:
        names["dt"] = True
    elif any(node.uses_step for _, node, _ in g):
        names["rate"] = False
    if form == "parallel" and any(node.uses_lengths for _, node, _ in g):
        names["lengths"] = False
    return names


def told(g: Graph, key: str, form: str) -> list[str]:
    """The names of what the layer of a node takes as keywords."""
    node = g.node(key)
    names = [("dt" if g.timed else "rate")] if node.uses_step else []
    return [*names, "lengths"] if form == "parallel" and node.uses_lengths else names


def turned_by(g: Graph) -> dict[str, str]:
    """The nodes of a timed model that mind the step and run backwards, each with the node that turned time round."""
    by: dict[str, str] = {}
    for key, node, inputs in g if g.timed else ():
        before = next((by[i] for i in inputs if i in by), None)
        if node.op.reverses:
            before = None if before else key
        if before:
            by[key] = before
    return {key: flip for key, flip in by.items() if g.node(key).uses_step}
