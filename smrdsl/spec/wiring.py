"""Wiring: the dataflow of a model while it is written down and edited: nodes, their inputs, their types.

Nodes are keyed by their path. A region is a part that an edit can select as a whole: what a component or a labelled
block became. The types of nodes follow their inputs: whoever changes a wire calls `settle`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from smrdsl.core.errors import Related, Report
from smrdsl.core.source import Span
from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Misfit, Operator, Params, inferred, seen
from smrdsl.spec.limits import Limits, Spent
from smrdsl.spec.paths import Paths
from smrdsl.spec.values import Stream, Value
from smrdsl.syntax import tree


@dataclass(slots=True, eq=False)
class Region:
    """A component or labelled block: the stream that enters it, the one that leaves it, and where it was used.

    `names` select it. `definition` is the component. `leaving` is "" behind a mistake.
    """

    names: frozenset[str]
    path: tuple[str, ...]
    kind: str
    place: Place
    entering: str
    label: str | None = None
    arguments: Mapping[str, Value] = field(default_factory=dict)
    definition: tree.Component | None = None
    leaving: str = ""
    members: dict[str, None] = field(default_factory=dict)
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the model a step stands: its path so far, indices of enclosing repeats, regions and places of use.

    `turn` is the path of the innermost turn of a `repeat`; `depth` counts components.
    """

    prefix: tuple[str, ...] = ()
    indices: Mapping[str, int] = field(default_factory=dict)
    regions: tuple[Region, ...] = ()
    uses: tuple[Span, ...] = ()
    mirrors: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()
    depth: int = 0

    def related(self) -> list[Related]:
        """The places of use, innermost first."""
        return used_here(self.uses)


def used_here(uses: tuple[Span, ...]) -> list[Related]:
    """Places of use, from the outermost on, as a diagnostic tells them."""
    return [Related("used here", span) for span in reversed(uses)]


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
    taps: Mapping[int, int] = field(default_factory=dict)
    """Ports that read a tap, and how many regions that was set in."""
    type: StreamType | None = None
    strategy: str = "auto"
    asked: Span | None = None
    """Where the strategy was asked for."""

    input_types: tuple[StreamType, ...] = ()
    """Those of its inputs, as its operator sees them."""
    fits: bool = True
    """False where the shape rule refused and the type is a guess."""
    serial: int = 0

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.key.split("."))


Target = Node | Region
"""What an edit is about."""


class Wiring:
    """The nodes of a model by key, in an order in which each stands behind its inputs (until edits move wires)."""

    def __init__(self, report: Report, limits: Limits | None = None) -> None:
        self.report = report
        self.limits = limits or Limits()
        self.paths = Paths()
        self.nodes: dict[str, Node] = {}
        self.readers: dict[str, dict[str, None]] = {}
        self.output = ""
        self.complete = True
        """False once a node could not be put in, so that what is missing later is no news."""
        self._named: dict[str, dict[Target, None]] = {}
        self._ends: dict[str, dict[Region, None]] = {}
        self._serials = count()

    # --- nodes

    def add(self, node: Node) -> Stream:
        """Put in a node and infer its type. Raises `Spent` where there are too many."""
        assert node.key not in self.nodes, node.key
        if len(self.nodes) >= self.limits.nodes:
            self.report.error("E0702", f"the model has more than {self.limits.nodes:,} nodes", node.span)
            raise Spent
        self.nodes[node.key] = node
        self.readers[node.key] = {}
        node.serial = next(self._serials)
        self._list(node, (node.op.name, node.label))
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
        node.input_types = seen(node.op, inputs)
        try:
            node.fits = True
            return inferred(node.op, node.params, inputs)
        except Misfit as misfit:
            of_argument = misfit.argument if misfit.code.startswith("E03") else None
            span = node.arguments.get(of_argument or "", node.span)
            self.report.error(misfit.code, str(misfit), span, related=node.place.related())
            node.fits = False
            return _guess(node.op, inputs, misfit)

    def rewire(self, reader: str, old: str, new: str, ports: Iterable[int] | None = None) -> None:
        """Let `reader` read `new` where it read `old`, or only at some ports."""
        node = self.nodes[reader]
        for port in range(len(node.inputs)) if ports is None else ports:
            if node.inputs[port] == old:
                node.inputs[port] = new
                self.readers[new][reader] = None
        if old not in node.inputs:
            self.readers[old].pop(reader, None)

    def swap(self, node: Node) -> None:
        """Put a node in the place of the one with its key and inputs."""
        old = self.nodes[node.key]
        assert old.inputs == node.inputs, node.key
        self._unlist(old, (old.op.name, old.label))
        node.serial = old.serial
        self._list(node, (node.op.name, node.label))
        self.nodes[node.key] = node
        node.type = self.infer(node)

    def drop(self, keys: list[str]) -> None:
        """Take out nodes that only they themselves read."""
        gone = dict.fromkeys(keys)
        for key in keys:
            assert all(reader in gone for reader in self.readers[key]), key
            for source in self.nodes[key].inputs:
                self.readers[source].pop(key, None)
        for key in keys:
            node = self.nodes.pop(key)
            self._unlist(node, (node.op.name, node.label))
            for region in node.place.regions:
                region.members.pop(key, None)
            del self.readers[key]
            if node.label:
                self.paths.free(node.path)

    # --- regions and what names select

    def begin(self, region: Region) -> Region:
        """Put in a region; whoever calls sets where it ends."""
        region.serial = next(self._serials)
        self._list(region, region.names)
        self._end(region, region.entering)
        return region

    def enter(self, region: Region, key: str) -> None:
        """Let a region begin with another stream."""
        region.entering = self._moved(region, region.entering, key, region.leaving)

    def leave(self, region: Region, key: str) -> None:
        """Let a region end with another stream."""
        region.leaving = self._moved(region, region.leaving, key, region.entering)

    def ending(self, key: str) -> list[Region]:
        """The regions that a stream enters or leaves."""
        return list(self._ends.get(key, ()))

    def named(self, names: Iterable[str]) -> list[Target]:
        """All that one of these names selects, in the order of the text."""
        found = {target: None for name in names for target in self._named.get(name, ())}
        return sorted(found, key=lambda target: target.serial)

    def names(self) -> Iterator[str]:
        """The names that select something."""
        return (name for name, targets in self._named.items() if targets)

    def _moved(self, region: Region, old: str, new: str, other: str) -> str:
        if old != other:
            self._ends.get(old, {}).pop(region, None)
        self._end(region, new)
        return new

    def _end(self, region: Region, key: str) -> None:
        if key:
            self._ends.setdefault(key, {})[region] = None

    def _list(self, target: Target, names: Iterable[str | None]) -> None:
        for name in names:
            if name:
                self._named.setdefault(name, {})[target] = None

    def _unlist(self, target: Target, names: Iterable[str | None]) -> None:
        for name in names:
            if name:
                self._named[name].pop(target, None)

    # --- types and order

    def settle(self, keys: Iterable[str]) -> int:
        """Infer anew the types of these nodes and of all that follow where one changed; how many were looked at."""
        changed = dict.fromkeys(keys)
        behind = in_order(list(changed), self.readers)
        for key in reversed(behind):
            if key not in changed:
                continue
            node = self.nodes[key]
            before, node.type = node.type, self.infer(node)
            if node.type != before:
                changed.update(self.readers[key])
        return len(behind)

    def order(self) -> list[str]:
        """All keys, each behind its inputs; as written where that leaves a choice."""
        return in_order(self.nodes, {key: node.inputs for key, node in self.nodes.items()})


def _guess(op: Operator, inputs: tuple[StreamType, ...], misfit: Misfit) -> StreamType | None:
    """What a step that does not fit may leave, so that later mistakes are found too; None where that would be rash.

    Streams of another kind pass it as they are; for else, an `embed` leaves no tokens, and which of its streams an
    operator's output is like is not known.
    """
    if misfit.code == "E0401":
        return inputs[0]
    alike = op.structural or len(set(inputs)) == 1
    return inputs[0] if alike and inputs[0].kind != "index" else None


def in_order(starts: Iterable[str], before: Mapping[str, Iterable[str]]) -> list[str]:
    """The starts and all that comes before them, in their order, each behind what comes before it."""
    done: dict[str, None] = {}
    begun: set[str] = set()
    for start in starts:
        stack = [] if start in begun else [(start, iter(before[start]))]
        begun.add(start)
        while stack:
            key, sources = stack[-1]
            for source in sources:
                if source not in begun:
                    begun.add(source)
                    stack.append((source, iter(before[source])))
                    break
                assert source in done, f"{key} and {source} read each other"
            else:
                done[key] = None
                stack.pop()
    return list(done)
