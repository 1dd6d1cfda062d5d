"""Fuse: several nodes of the executed graph become one, whose layer (`layer.py`) is given theirs.

The fused node takes the key, type and place in the spec of the last of them, so that its readers need not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from smrdsl.graph.graph import Entry, Fusion, Graph, Held

Group = Sequence[str]
"""Keys of nodes that become one, each behind those that it reads."""


def fuse(g: Graph, name: str, layer: str, groups: Iterable[Group]) -> Graph:
    """The graph with each group as one node. `name` is that of the pass, `layer` is "module:Class"."""
    fused: dict[str, Entry] = {}
    gone: set[str] = set()
    for group in groups:
        entry = fused_entry(g, name, layer, group)
        fused[entry[0]] = entry
        gone.update(group[:-1])
    return g.rebuild(fused.get(entry[0], entry) for entry in g if entry[0] not in gone) if fused else g


def fused_entry(g: Graph, name: str, layer: str, group: Group) -> Entry:
    """One node for a group."""
    inside, last = set(group), group[-1]
    for key in group:
        assert free(g, key), f"{key} cannot be fused"
        assert key == last or (key != g.output and set(g.readers(key)) <= inside), f"{key} has other readers"
    inputs = outside(g, group)
    node = replace(g.node(last), fusion=Fusion(name, layer, tuple(held(g, key) for key in group), inputs))
    return last, node, inputs


def outside(g: Graph, group: Group) -> tuple[str, ...]:
    """What a group reads that is not of the group, in the order in which it is first read."""
    inside = set(group)
    return tuple(dict.fromkeys(i for key in group for i in g.inputs(key) if i not in inside))


def held(g: Graph, key: str) -> Held:
    learned = sum(p.size for p in g.parameters(key).values())
    return Held(key, g.node(key), g.inputs(key), g.kept(key), learned)


def free(g: Graph, key: str) -> bool:
    """Whether a node can be a part of a fused one: it is none yet, and its weights are its own affair."""
    node = g.node(key)
    return bool(node.op.layer) and node.fusion is None and node.shares is None and key not in g.owners


def only_reader(g: Graph, key: str) -> str | None:
    """The one node that reads another, and does so once; None where there are more, or it is the model's output."""
    readers = g.readers(key)
    if key == g.output or len(readers) != 1 or g.inputs(readers[0]).count(key) != 1:
        return None
    return readers[0]


def several(
    g: Graph, name: str, layer: str, holds: Sequence[Held], source: str, gives: Mapping[str, str]
) -> dict[str, list[Entry]]:
    """In place of each key of `gives` its part of one fused node, which stands before the first and reads `source`.

    `gives` names the node of `holds` whose value stands there.
    """
    first = next(k for k in g.keys if k in gives)
    key = f"{first}_{name.replace('-', '_')}"
    while key in g.nx:
        key += "_"
    whole = Fusion(name, layer, tuple(holds), (source,), gives=tuple(gives.values()))
    instead: dict[str, list[Entry]] = {}
    for i, k in enumerate(gives):
        part = Fusion(name, "smrdsl.passes.layer:Part", (), (key,), part=i)
        instead[k] = [(k, replace(g.node(k), fusion=part), (key,))]
    instead[first].insert(0, (key, replace(g.node(first), label=None, fusion=whole), (source,)))
    return instead


def replaced(g: Graph, instead: Mapping[str, Sequence[Entry]]) -> Graph:
    """The graph with other nodes where some stood; nothing may be left that reads what is gone."""
    return g.rebuild(new for entry in g for new in instead.get(entry[0], (entry,)))
