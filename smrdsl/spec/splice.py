"""Splice: wires moved so that a node stands before or after what an edit selects, or takes its place."""

from __future__ import annotations

from dataclasses import dataclass, field

from smrdsl.spec.wiring import Node, Region, Target, Wiring


@dataclass(slots=True)
class Splice:
    """Moves wires; `dirty` are the nodes whose types may have changed by it, until they are settled."""

    wiring: Wiring
    dirty: dict[str, None] = field(default_factory=dict)

    def settle(self) -> int:
        """Infer the types that changed; how many nodes were looked at."""
        looked_at = self.wiring.settle(self.dirty) if self.dirty else 0
        self.dirty.clear()
        return looked_at

    def before(self, target: Target, node: Node) -> None:
        """Let a target read a new node where it read what enters it: a node at its first port, a region anywhere."""
        self.wiring.add(node)
        if isinstance(target, Node):
            self._read(target.key, target.inputs[0], node, [0])
            return
        old = target.entering
        for reader, ports in entries(self.wiring, target):
            self._read(reader, old, node, ports)
        for inner in self.wiring.ending(old):
            if inner is target or target in inner.place.regions:
                if inner.entering == old:
                    self.wiring.enter(inner, node.key)
                if inner.leaving == old:
                    self.wiring.leave(inner, node.key)

    def after(self, target: Target, node: Node) -> None:
        """Let all that reads a target read a new node."""
        self.wiring.add(node)
        self._redirect(target, node)

    def instead(self, target: Target, node: Node) -> None:
        """Put a new node in the place of a target."""
        if node.key in self.wiring.nodes:
            before = self.wiring.nodes[node.key].type
            self.wiring.swap(node)
            if node.type != before:
                self.dirty.update(self.wiring.readers[node.key])
            return
        self.after(target, node)
        self._drop(target)

    def remove(self, target: Target, entry: str) -> None:
        """Take out a target, and join what enters it to its readers."""
        if leaving(target) != entry:
            self._redirect(target, self.wiring.nodes[entry])
        self._drop(target)

    def _read(self, reader: str, old: str, node: Node, ports: list[int] | None = None) -> None:
        self.wiring.rewire(reader, old, node.key, ports)
        if node.type != self.wiring.nodes[old].type:
            self.dirty[reader] = None

    def _redirect(self, target: Target, node: Node) -> None:
        """Let all that read the target from outside read a node; regions and the model end or begin there."""
        old, around = leaving(target), target.place.regions
        for reader in [r for r in self.wiring.readers[old] if r != node.key]:
            if isinstance(target, Node) or reader not in target.members:
                self._read(reader, old, node)
        for region in self.wiring.ending(old):
            if region.leaving == old and region in around:
                self.wiring.leave(region, node.key)
            if region.entering == old and region not in around and region is not target:
                self.wiring.enter(region, node.key)
        if self.wiring.output == old:
            self.wiring.output = node.key

    def _drop(self, target: Target) -> None:
        gone = list(target.members) if isinstance(target, Region) else [target.key]
        self.wiring.drop(gone)
        if isinstance(target, Region) and target.label:
            self.wiring.paths.free(target.path)
        for key in gone:
            self.dirty.pop(key, None)


def leaving(target: Target) -> str:
    """The key of the stream that leaves a target."""
    return target.leaving if isinstance(target, Region) else target.key


def entries(wiring: Wiring, region: Region) -> list[tuple[str, list[int]]]:
    """The nodes in a region that read what enters it, with their ports; not those that read a tap from outside."""
    depth, old, found = len(region.place.regions), region.entering, []
    for reader in wiring.readers[old]:
        if reader in region.members:
            node = wiring.nodes[reader]
            ports = [p for p, source in enumerate(node.inputs) if source == old and node.taps.get(p, depth + 1) > depth]
            found += [(reader, ports)] if ports else []
    return found
