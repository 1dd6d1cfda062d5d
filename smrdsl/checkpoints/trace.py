"""Trace: a graph read backwards, step by step, as a format of checkpoints expects it.

Steps are found by what they compute and what they read, never by their names: the block may come from the library or be
written out by hand, under any labels. `smr`, `dropout` and `skip` are passed over wherever they stand: no checkpoint
has anything for them, and an smr that starts as the identity changes nothing at first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from smrdsl.graph.graph import Graph
from smrdsl.ops.manual import written

PASSED_OVER = ("smr", "dropout", "skip")
PRODUCTS = ("mul", "parallel")
FIXED: dict[str, dict[str, Any]] = {
    "embed": {"positions": None},
    "residual": {"scale": 1.0},
    "parallel": {"merge": "mul"},
    "norm": {"kind": "rms", "affine": True},
    "conv1d": {"depthwise": True, "causal": True},
    "s6": {"skip": True},
    "ssd_scan": {"skip": True},
}
"""What arguments must be, where an operator has them, for a step to be one of a checkpoint's."""


class Odd(Exception):
    """A step that no such checkpoint has, or one that is missing. The message says which and where."""


@dataclass(slots=True)
class Trace:
    """Walks a graph from a node to what it reads; `seen` are the nodes that were looked at."""

    graph: Graph
    seen: set[str] = field(default_factory=set)

    def skip(self, key: str) -> str:
        """The node itself, or the one that feeds it where it is passed over."""
        while self.graph.node(key).op.name in PASSED_OVER:
            self.seen.add(key)
            key = self.graph.inputs(key)[0]
        return key

    def name(self, key: str) -> str:
        """The operator at `key`, or of the one that feeds it where it is passed over."""
        return self.graph.node(self.skip(key)).op.name

    def at(self, key: str, *names: str) -> str:
        """The node at `key`, or that feeds it where it is passed over, which is one of these operators."""
        key = self.skip(key)
        node = self.graph.node(key)
        if node.op.name not in names:
            raise self.odd(key, f"where {' or '.join(f'`{n}`' for n in names)} is wanted")
        for argument, value in FIXED.get(node.op.name, {}).items():
            if getattr(node.params, argument, value) != value:
                raise self.odd(key, f"where {argument}={written(value)} is wanted")
        self.seen.add(key)
        return key

    def into(self, key: str, *names: str) -> str:
        """As `at`, for what feeds the first port of a node."""
        return self.at(self.graph.inputs(key)[0], *names)

    def factors(self, product: str) -> tuple[str, str]:
        """What a product multiplies: the stream, and the gate behind its `silu`, whichever stands first."""
        inputs = self.graph.inputs(product)
        if len(inputs) != 2:
            raise self.odd(product, "where a product of two streams is wanted")
        stream, gate = sorted(inputs, key=lambda i: self.name(i) == "silu")
        return stream, self.at(gate, "silu")

    def source(self, *readers: str) -> str:
        """The one stream that all these nodes read."""
        sources = [self.skip(self.graph.inputs(r)[0]) for r in readers]
        for reader, source in zip(readers, sources, strict=True):
            if source != sources[0]:
                raise self.odd(reader, f"reading {source}, where {sources[0]} is wanted")
        return sources[0]

    def odd(self, key: str, why: str) -> Odd:
        """What is told of a node that does not fit."""
        node = self.graph.node(key)
        return Odd(f"{node.location}: {node.location.text} ({key}) stands {why}")
