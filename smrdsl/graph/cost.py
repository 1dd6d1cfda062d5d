"""Cost: what each node of a graph learns, computes and keeps, as its operator declares it; without tensors.

    parameters    what the node learns itself; a weight that it shares counts at its owner
    flops         floating point operations for one sequence, forward
    activations   bytes kept for the backward pass, for the whole batch
    state         bytes that a step remembers for one sequence; what grows with the past, after `length` steps

Of a model of pairs, one sequence is one pair: what runs on both counts twice.

The work of a node is that of its strategy; where the plan is to choose, that of the operator's first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from smrdsl.graph.graph import Graph, Location
from smrdsl.graph.show import show_params
from smrdsl.ops.contract import State

BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
INDEX_BYTES = 8


@dataclass(frozen=True, slots=True)
class Row:
    """The cost of one node, or, without a place, of several."""

    path: str
    operator: str
    arguments: str
    output: str
    parameters: int
    flops: float
    activations: float
    state: int
    looks_ahead: bool = False
    location: Location | None = None


def rows(g: Graph, length: int, batch: int = 1, dtype: str = "float32") -> list[Row]:
    """A row for each node, in order."""
    return [row(g, key, length, batch, dtype) for key in g.keys]


def row(g: Graph, key: str, length: int, batch: int = 1, dtype: str = "float32") -> Row:
    """The row of one node."""
    node, size = g.node(key), BYTES[dtype]
    strategy = node.strategy if node.strategy != "auto" else (*node.op.ways(node.params), "")[0]
    cost = node.op.cost(node.params, *g.seen_types(key), length, strategy)
    return Row(
        path=key,
        operator=node.op.name,
        arguments=show_params(node.params),
        output=str(node.type),
        parameters=sum(p.size for p in g.parameters(key).values()),
        flops=cost.flops * node.type.rows,
        activations=cost.activations * node.type.rows * size * batch,
        state=sum(_state_bytes(s, length, size) for s in g.state(key).values()) * node.type.rows,
        looks_ahead=node.op.looks_ahead(node.params),
        location=node.location,
    )


def total(rows: Iterable[Row], path: str = "total") -> Row:
    """The sum of rows."""
    rows = list(rows)
    return Row(
        path, "", "", "",
        parameters=sum(r.parameters for r in rows),
        flops=sum(r.flops for r in rows),
        activations=sum(r.activations for r in rows),
        state=sum(r.state for r in rows),
        looks_ahead=any(r.looks_ahead for r in rows),
    )  # fmt: skip


def acausal(rows: Iterable[Row]) -> list[Row]:
    """The rows that look ahead, one for each place in the text: the last, which is the construct there."""
    return list({str(r.location): r for r in rows if r.looks_ahead}.values())


def _state_bytes(state: State, length: int, size: int) -> int:
    elements = math.prod(length if dim == "T" else int(dim) for dim in state.shape)
    return elements * (INDEX_BYTES if state.index else size)
