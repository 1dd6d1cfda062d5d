"""Model: a spec that was checked: its nodes in order, its output, and what the module is to take in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smrdsl.core.source import Source
from smrdsl.spec.values import Value
from smrdsl.spec.wiring import Node


@dataclass(frozen=True, slots=True)
class Model:
    """The default model of a file, or another; `arguments` are the values of its parameters.

    `nodes` stand each behind its inputs, all of them typed. `ties` gives, for a node that shares the weight of another,
    that other's key. `text` is the canonical text of the file.
    """

    name: str
    source: Source
    arguments: Mapping[str, Value]
    nodes: tuple[Node, ...]
    output: str
    ties: Mapping[str, str]

    @property
    def input(self) -> Node:
        return next(n for n in self.nodes if "input" in n.op.families)
