"""Cost: what each node of a graph learns, computes and keeps, as its operator declares it; without tensors.

    parameters    what the node learns itself; a weight that it shares counts at its owner
    flops         floating point operations for one sequence, forward
    activations   bytes kept for the backward pass, for the whole batch
    state         bytes that a step remembers for one sequence; what grows with the past, after `length` steps

Of a model of pairs, one sequence is one pair: what runs on both counts twice. A stream that several nodes keep is in
memory once, and counts at the first of them.

The work of a node is that of its strategy; where the plan is to choose, that of the operator's first. With `native` it
is that of native kernels, where there are any.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from smrdsl.core.types import StreamType
from smrdsl.graph.graph import Graph, Location
from smrdsl.graph.show import show_params
from smrdsl.ops.contract import Cost, State, elements

BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
INDEX_BYTES = 8
NATIVE = "+native"
"""Behind a strategy: by a native kernel, where it has one."""


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


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of a node in a batch: what it keeps of its own, and uses besides; and whether it keeps its streams."""

    own: float
    inputs: bool
    output: bool
    temporary: float
    flops: float


@dataclass(frozen=True, slots=True)
class Job:
    """What costs depend on besides the graph: sizes, the type of numbers, and the strategies of nodes."""

    length: int
    batch: int = 1
    dtype: str = "float32"
    native: bool = False

    @property
    def size(self) -> int:
        return BYTES[self.dtype]


def rows(g: Graph, length: int, batch: int = 1, dtype: str = "float32", *, native: bool = False) -> list[Row]:
    """A row for each node, in order."""
    job = Job(length, batch, dtype, native)
    return list(_rows(g, job))


def _rows(g: Graph, job: Job) -> Iterator[Row]:
    held: set[str] = set()
    for key, node, _ in g:
        used = footprint(g, key, job)
        new = [k for k in dict.fromkeys(streams_kept(g, key, used)) if k not in held]
        held.update(new)
        yield Row(
            path=key,
            operator=node.op.name,
            arguments=show_params(node.params),
            output=str(node.type),
            parameters=sum(p.size for p in g.parameters(key).values()),
            flops=used.flops,
            activations=used.own + sum(stream_bytes(g.node(k).type, job) for k in new),
            state=state_bytes(g, key, job),
            looks_ahead=node.op.looks_ahead(node.params),
            location=node.location,
        )


def footprint(g: Graph, key: str, job: Job, strategy: str | None = None) -> Footprint:
    """The bytes of one node, by a strategy or its own."""
    node, cost = g.node(key), cost_of(g, key, job, strategy)
    batch = job.batch * node.type.rows
    return Footprint(
        own=job.size * (batch * cost.activations + cost.once),
        inputs=cost.inputs,
        output=cost.output,
        temporary=job.size * min(batch * cost.temporary, cost.most),
        flops=cost.flops * node.type.rows,
    )


def streams_kept(g: Graph, key: str, used: Footprint) -> tuple[str, ...]:
    """The streams that a node keeps, by their keys."""
    return (*(g.inputs(key) if used.inputs else ()), *((key,) if used.output else ()))


def cost_of(g: Graph, key: str, job: Job, strategy: str | None = None) -> Cost:
    """What the operator of a node declares."""
    node = g.node(key)
    if strategy is None:
        strategy = node.strategy if node.strategy != "auto" else (*node.op.ways(node.params), "")[0]
    return node.op.cost(node.params, *g.seen_types(key), job.length, strategy + NATIVE * job.native)


def stream_bytes(type_: StreamType, job: Job) -> int:
    """Bytes of a stream in a batch."""
    size = INDEX_BYTES if type_.kind == "index" else job.size
    return size * job.batch * type_.rows * elements((type_.single(),), job.length)


def state_bytes(g: Graph, key: str, job: Job) -> int:
    """Bytes that a step of a node remembers for one sequence, or one pair."""
    return sum(_state_bytes(s, job.length, job.size) for s in g.state(key).values()) * g.node(key).type.rows


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
