"""Show: a graph as text, a line for each node; and as JSON, which reads back to an equal graph."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from smrdsl.core.errors import SmrError
from smrdsl.core.types import StreamType
from smrdsl.graph.check import check
from smrdsl.graph.graph import Entry, Graph, GraphError, Group, Location, Node
from smrdsl.ops.contract import Misfit, Params
from smrdsl.ops.manual import written
from smrdsl.ops.registry import operators

VERSION = 1


def show_params(params: Params) -> str:
    """The arguments that are not the default, as they would be written."""
    given = params.model_dump(mode="python", exclude_defaults=True)
    return ", ".join(f"{name}={written(getattr(params, name))}" for name in given)


def show(g: Graph) -> str:
    """`key = op(arguments) <- inputs : type`, a line for each node."""
    lines = [f"graph {g.name}"]
    for key, node, inputs in g:
        strategy = "" if node.strategy == "auto" else f" as {node.strategy}"
        reads = f" <- {', '.join(inputs)}" if inputs else ""
        tie = f" shares {node.shares}" if node.shares else ""
        call = _call(node)
        lines.append(f"  {key} = {call}{reads}{tie}{strategy} : {node.type}")
    return "\n".join([*lines, f"  return {g.output}", ""])


def _call(node: Node) -> str:
    if node.fusion is None:
        return f"{node.op.name}({show_params(node.params)})"
    if node.fusion.part is not None:
        return f"part({node.fusion.part})"
    return f"{node.fusion.name}({', '.join(held.key for held in node.fusion.holds)})"


class _Type(BaseModel):
    model_config = ConfigDict(extra="forbid")
    dims: list[int | str]
    kind: str = "real"
    vocab: int | None = None


class _Node(BaseModel):
    model_config = ConfigDict(extra="forbid")
    key: str
    op: str
    params: dict[str, Any]
    inputs: list[str]
    type: _Type
    location: tuple[str, int, int, str]
    label: str | None = None
    groups: list[tuple[str, str, str]] = []
    shares: str | None = None
    strategy: str = "auto"


class _Document(BaseModel):
    """The shape of graph.json; whatever else a stranger's file holds is refused."""

    model_config = ConfigDict(extra="forbid")
    version: int
    name: str
    output: str
    arguments: dict[str, str]
    nodes: list[_Node]


def to_json(g: Graph) -> str:
    """The graph as JSON text; `from_json` gives an equal graph."""
    nodes = [
        _Node(
            key=key, op=n.op.name, params=n.params.model_dump(mode="json"), inputs=list(inputs),
            type=_Type(dims=list(n.type.dims), kind=n.type.kind, vocab=n.type.vocab),
            location=(n.location.file, n.location.line, n.location.column, n.location.text),
            label=n.label, groups=[(x.kind, x.name, x.path) for x in n.groups],
            shares=n.shares, strategy=n.strategy,
        )
        for key, n, inputs in g
    ]  # fmt: skip
    arguments = dict(g.arguments)
    document = _Document(version=VERSION, name=g.name, output=g.output, arguments=arguments, nodes=nodes)
    return document.model_dump_json(indent=1, exclude_defaults=True) + "\n"


def from_json(text: str, file: str = "graph.json") -> Graph:
    """The graph in a JSON text, checked. Raises `SmrError` where it is none of ours."""
    try:
        document = _Document.model_validate_json(text)
        if document.version > VERSION:
            raise SmrError(f"{file} was written by a newer smrdsl (version {document.version})")
        entries = [_entry(n, file) for n in document.nodes]
        graph = Graph.build(document.name, entries, document.output, document.arguments)
        check(graph)
    except ValidationError as error:
        raise SmrError(f"{file} is no graph of ours: {_first(error)}") from None
    except (GraphError, Misfit) as error:
        raise SmrError(f"{file} is no valid graph: {error}") from None
    return graph


def _first(error: ValidationError) -> str:
    """The place of the first mistake, and what it is."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'text'}: {first['msg']}"


def _entry(n: _Node, file: str) -> Entry:
    op = operators().get(n.op)
    if op is None:
        missing = "which is not known here; import the package that has it"
        raise SmrError(f"{file} uses the operator `{n.op}`, {missing}")
    try:
        params = op.params.model_validate_json(json.dumps(n.params))
    except ValidationError as error:
        raise SmrError(f"{file}: {n.key} has no arguments of `{n.op}`: {_first(error)}") from None
    except (TypeError, LookupError, ArithmeticError) as error:  # what an operator's own checks do with junk
        raise SmrError(f"{file}: {n.key} has no arguments of `{n.op}`: {error}") from None
    type_ = StreamType(tuple(n.type.dims), n.type.kind, n.type.vocab)
    groups = tuple(Group(*g) for g in n.groups)
    node = Node(op, params, type_, Location(*n.location), n.label, groups, n.shares, n.strategy)
    return n.key, node, tuple(n.inputs)
