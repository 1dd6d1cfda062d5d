"""Wiring: the dataflow of a model while it is written down and edited: nodes, their inputs, their types.

Nodes are keyed by their path. A region is a part that an edit can select as a whole: what a component or a labelled
block became. The types of nodes follow their inputs: whoever changes a wire calls `settle`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from smrdsl.core.errors import Related, Report
from smrdsl.core.source import Span
from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Misfit, Operator, Params
from smrdsl.spec.values import Stream, Value


@dataclass(slots=True, eq=False)
class Region:
    """A component or labelled block: the stream that enters it, the one that leaves it, and where it was used."""

    names: frozenset[str]
    path: tuple[str, ...]
    kind: str
    labelled: bool
    arguments: Mapping[str, Value]
    place: Place
    entry: str
    exit: str = ""
    members: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the model a step stands: its path so far, indices of enclosing repeats, regions and places of use."""

    prefix: tuple[str, ...] = ()
    indices: Mapping[str, int] = field(default_factory=dict)
    regions: tuple[Region, ...] = ()
    uses: tuple[Span, ...] = ()
    mirrors: tuple[str, ...] = ()
    depth: int = 0

    def related(self) -> list[Related]:
        """The places of use, innermost first."""
        return [Related("used here", span) for span in reversed(self.uses)]


@dataclass(slots=True, eq=False)
class Node:
    """One operation. `inputs` are the keys of the nodes that feed its ports; `type` is None behind a mistake."""

    key: str
    op: Operator
    params: Params
    inputs: list[str]
    span: Span
    place: Place
    label: str | None = None
    arguments: Mapping[str, Span] = field(default_factory=dict)
    type: StreamType | None = None
    strategy: str = "auto"

    input_types: tuple[StreamType, ...] = ()
    fits: bool = True
    """False where the shape rule refused and the type is a guess."""

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.key.split("."))


class Wiring:
    """The nodes of a model by key, in an order in which each stands behind its inputs (until edits move wires)."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.nodes: dict[str, Node] = {}
        self.readers: dict[str, dict[str, None]] = {}
        self.regions: list[Region] = []
        self.output = ""
        self.complete = True
        """False once a node could not be put in, so that what is missing later is no news."""
        self._counts: dict[tuple[tuple[str, ...], str], int] = {}

    def name(self, prefix: tuple[str, ...], name: str) -> tuple[str, ...]:
        """A path that is free: `name`, or `name_2`, `name_3` for later ones under the same prefix."""
        count = self._counts.get((prefix, name), 0) + 1
        self._counts[prefix, name] = count
        return (*prefix, name if count == 1 else f"{name}_{count}")

    def add(self, node: Node) -> Stream:
        """Put in a node and infer its type."""
        assert node.key not in self.nodes, node.key
        self.nodes[node.key] = node
        self.readers[node.key] = {}
        for region in node.place.regions:
            region.members[node.key] = None
        for source in node.inputs:
            self.readers[source][node.key] = None
        node.type = self.infer(node)
        return Stream(node.key, node.type)

    def infer(self, node: Node) -> StreamType | None:
        """The type that the shape rule gives; a misfit is reported at the node, and a type guessed."""
        inputs = tuple(t for i in node.inputs if (t := self.nodes[i].type) is not None)
        if len(inputs) < len(node.inputs):
            return None
        node.input_types = inputs
        try:
            return node.op.infer(node.params, inputs)
        except Misfit as misfit:
            of_argument = misfit.argument if misfit.code.startswith("E03") else None
            span = node.arguments.get(of_argument or "", node.span)
            self.report.error(misfit.code, str(misfit), span, related=node.place.related())
            node.fits = False
            return inputs[0] if inputs else None  # a guess, so that later mistakes are found too

    def rewire(self, reader: str, old: str, new: str, *, first_only: bool = False) -> None:
        """Let `reader` read `new` where it read `old`."""
        node = self.nodes[reader]
        ports = [i for i, source in enumerate(node.inputs) if source == old]
        for port in ports[:1] if first_only else ports:
            node.inputs[port] = new
        if old not in node.inputs:
            self.readers[old].pop(reader, None)
        self.readers[new][reader] = None

    def swap(self, node: Node) -> None:
        """Put a node in the place of the one with its key and inputs."""
        assert self.nodes[node.key].inputs == node.inputs, node.key
        self.nodes[node.key] = node
        node.type = self.infer(node)

    def drop(self, keys: list[str]) -> None:
        """Take out nodes that only they themselves read, and the regions that go with them."""
        gone = dict.fromkeys(keys)
        for key in keys:
            assert all(reader in gone for reader in self.readers[key]), key
            for source in self.nodes[key].inputs:
                self.readers[source].pop(key, None)
        for key in keys:
            for region in self.nodes[key].place.regions:
                region.members.pop(key, None)
            del self.nodes[key], self.readers[key]

    def settle(self, keys: Iterator[str] | list[str]) -> None:
        """Infer anew the types of these nodes and of all that follow where one changed."""
        changed = set(keys)
        if not changed:
            return
        for key in self.order():
            if key not in changed:
                continue
            node = self.nodes[key]
            before, node.type = node.type, self.infer(node)
            if node.type != before:
                changed.update(self.readers[key])

    def order(self) -> list[str]:
        """All keys, each behind its inputs; as written where that leaves a choice."""
        done: dict[str, None] = {}
        for start in self.nodes:
            stack = [start]
            while stack:
                key = stack[-1]
                missing = [i for i in self.nodes[key].inputs if i not in done]
                if key in done or not missing:
                    done[stack.pop()] = None
                else:
                    stack.extend(reversed(missing))
        return list(done)
