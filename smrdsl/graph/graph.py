"""Graph: the dataflow of one model, over networkx. Passes take one and give another; none is ever changed.

Nodes are keyed by their path in the model, which is also the prefix of their parameters' names. The key of an
edge is the port of its reader, so that a node may read one stream twice. The only attribute of a networkx
node is `node`.

What is executed is another graph, in which a node may stand for several (`Fusion`); paths are those of the model's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import networkx as nx

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Operator, Parameter, Params, State, seen, shared


class GraphError(AssertionError):
    """A graph that breaks a law. A bug of ours, unless it was read from a file: then `from_json` tells it."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a node was written, and what was written there. Kept by value: a package has no source."""

    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Group:
    """A component or labelled block around a node, for pictures."""

    kind: str
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Held:
    """A node as a part of a fused one: its key, what it read, what it keeps between steps, and how much it learns."""

    key: str
    node: Node
    inputs: tuple[str, ...]
    state: tuple[str, ...] = ()
    parameters: int = 0


@dataclass(frozen=True, slots=True)
class Fusion:
    """How a node of the executed graph computes what several nodes of the model do, one behind the other.

    Its layer learns nothing: it is made of the fusion alone, and is given the layers of what it `holds`. `inputs` are
    the keys that those read from outside, in the order of its ports. Its value is that of the last one, or the values
    of those that it `gives`, which nodes that hold nothing and are a `part` tell apart.
    """

    name: str
    layer: str
    holds: tuple[Held, ...]
    inputs: tuple[str, ...]
    gives: tuple[str, ...] = ()
    part: int | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: what it computes, the type of its stream, and where it comes from.

    `shares` is the key of the node whose weights it uses. `strategy` is what the spec asks for, `auto` for the
    plan's choice. A node with a `fusion` is the last of several that run as one.
    """

    op: Operator
    params: Params
    type: StreamType
    location: Location
    label: str | None = None
    groups: tuple[Group, ...] = ()
    shares: str | None = None
    strategy: str = "auto"
    fusion: Fusion | None = None

    @property
    def uses_step(self) -> bool:
        return any(n.op.uses_step(n.params) for n in self.parts)

    @property
    def uses_lengths(self) -> bool:
        return any(n.op.uses_lengths(n.params) for n in self.parts)

    @property
    def parts(self) -> tuple[Node, ...]:
        """The operations that it stands for."""
        return (self,) if self.fusion is None else tuple(held.node for held in self.fusion.holds)


Entry = tuple[str, Node, tuple[str, ...]]
"""A node with its key and the keys of its inputs, by port."""


@dataclass(frozen=True, eq=False)
class Graph:
    """A model as a graph. `arguments` are the values of the model's parameters, as text, for the reader."""

    name: str
    nx: nx.MultiDiGraph
    output: str
    arguments: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def build(
        cls, name: str, entries: Iterable[Entry], output: str, arguments: Mapping[str, str] | None = None
    ) -> Graph:
        """A graph from its nodes, each behind its inputs, so that it has no cycle. Raises `GraphError`."""
        g = nx.MultiDiGraph()
        for key, node, inputs in entries:
            if key in g:
                raise GraphError(f"two nodes are called {key}")
            for source in inputs:
                if source not in g:
                    raise GraphError(f"{key} reads {source}, which does not stand before it")
            g.add_node(key, node=node)
            for port, source in enumerate(inputs):
                g.add_edge(source, key, key=port)
        if output not in g:
            raise GraphError(f"the output {output} is no node")
        return cls(name, g, output, dict(arguments or {}))

    def rebuild(self, entries: Iterable[Entry], output: str | None = None) -> Graph:
        """The same model with other nodes: what a pass returns."""
        return Graph.build(self.name, entries, output or self.output, self.arguments)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """All keys, each behind its inputs; as written where that leaves a choice."""
        rank = {key: i for i, key in enumerate(self.nx)}
        return tuple(nx.lexicographical_topological_sort(self.nx, key=rank.__getitem__))

    def __len__(self) -> int:
        return len(self.nx)

    def __iter__(self) -> Iterator[Entry]:
        """Every node with its key and inputs, each behind its inputs."""
        for key in self.keys:
            yield key, self.node(key), self.inputs(key)

    def node(self, key: str) -> Node:
        return self.nx.nodes[key]["node"]

    def inputs(self, key: str) -> tuple[str, ...]:
        """The keys that feed a node, by port."""
        return self._inputs[key]

    @cached_property
    def _inputs(self) -> dict[str, tuple[str, ...]]:
        by_port = {key: sorted(self.nx.in_edges(key, keys=True), key=lambda e: e[2]) for key in self.nx}
        return {key: tuple(source for source, _, _ in edges) for key, edges in by_port.items()}

    def readers(self, key: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(r for _, r in self.nx.out_edges(key)))

    def input_types(self, key: str) -> tuple[StreamType, ...]:
        return tuple(self.node(i).type for i in self.inputs(key))

    def seen_types(self, key: str) -> tuple[tuple[StreamType, ...], StreamType]:
        """The types of a node's inputs and output as its operator sees them: a pair is two sequences."""
        node = self.node(key)
        return seen(node.op, self.input_types(key)), node.type.single()

    def parameters(self, key: str) -> Mapping[str, Parameter]:
        """The tensors that a node learns, without those it shares; a fused one learns nothing."""
        node = self.node(key)
        if node.fusion:
            return {}
        return node.op.parameters(node.params, *self.seen_types(key))

    def shared(self, key: str) -> Mapping[str, Parameter]:
        """The tensors that a node uses of the one that it shares with, by their names there."""
        node = self.node(key)
        return {} if node.fusion else shared(node.op, node.params, *self.seen_types(key))

    def state(self, key: str) -> Mapping[str, State]:
        """What a node remembers between steps, by its own names."""
        node = self.node(key)
        return {} if node.fusion else node.op.state(node.params, *self.seen_types(key))

    def kept(self, key: str) -> tuple[str, ...]:
        """The names of what a node remembers, in the state of the model; a fused one does so for all that it holds."""
        fusion = self.node(key).fusion
        if fusion:
            return tuple(name for held in fusion.holds for name in held.state)
        return tuple(f"{key}.{name}" for name in self.state(key))

    @cached_property
    def owners(self) -> frozenset[str]:
        """The nodes whose weights others use."""
        return frozenset(node.shares for _, node, _ in self if node.shares)

    @property
    def input(self) -> str:
        """The key of the model's input."""
        return next(key for key in self.nx if "input" in self.node(key).op.families)

    @property
    def timed(self) -> bool:
        """Whether the model takes the gaps between samples."""
        return bool(getattr(self.node(self.input).params, "timed", False))

    @property
    def paired(self) -> bool:
        """Whether the model takes pairs of sequences."""
        return self.node(self.input).type.paired

    @property
    def length(self) -> int | None:
        """The length that the spec plans for."""
        return getattr(self.node(self.input).params, "length", None)

    def look_ahead(self) -> list[str]:
        """The nodes whose output depends on later inputs, so that the model has no step."""
        return [k for k in self.keys if self.node(k).op.looks_ahead(self.node(k).params)]

    def with_strategies(self, strategies: Mapping[str, str]) -> Graph:
        """The graph with the strategy of some nodes set."""
        return self.rebuild((k, replace(n, strategy=strategies.get(k, n.strategy)), i) for k, n, i in self)
