"""`smrdsl summary`: what every step learns, computes and keeps, and whether the model can be stepped."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping

import click

from smrdsl import native
from smrdsl.cli.options import lower_file, model_options
from smrdsl.draw.boxes import arguments
from smrdsl.draw.outline import Outline, Part, outline
from smrdsl.draw.table import Line, scaled, table
from smrdsl.graph.cost import Row, acausal, rows, total
from smrdsl.graph.graph import Graph

DEFAULT_LENGTH = 1024
HEADS = ("step", "output", "params", "FLOPs", "kept", "state")
NAMELESS = ("layers", "repeat", "branches")
"""Kinds of parts that hold only parts with names of their own."""


@click.command()
@model_options
@click.option("--length", type=click.IntRange(1), help="Of a sequence; by default what the spec plans for.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Sequences in a batch.")
@click.option("--all", "every", is_flag=True, help="Show equal layers each by itself.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON, all of them.")
def command(
    file: str,
    name: str | None,
    settings: tuple[str, ...],
    limits: tuple[str, ...],
    length: int | None,
    batch: int,
    every: bool,
    as_json: bool,
) -> int:
    """Tell what each step of a model of FILE (`-` is standard input) learns, computes and keeps."""
    graph = lower_file(file, name, settings, limits)
    length = length or graph.length or DEFAULT_LENGTH
    costs = {r.path: r for r in rows(graph, length, batch, native=native.available())}
    if as_json:
        print(json.dumps(as_dict(graph, list(costs.values()), length, batch), indent=1), flush=True)
        return 0
    print(heading(graph, length, batch), end="\n\n")
    plan = outline(graph, fold=not every)
    print(table(HEADS, list(lines(graph, costs, plan)), sys.stdout), end="\n\n")
    each = "pair" if graph.paired else "sequence"
    print(footing(list(costs.values()), len(set(plan.shown.values())) < len(graph), each), flush=True)
    return 0


def heading(g: Graph, length: int, batch: int) -> str:
    given = ", ".join(f"{name}={value}" for name, value in g.arguments.items())
    job = f"length {length:,}, batch {batch:,}, float32"
    return f"{g.name}({given}): {job}" if given else f"{g.name}: {job}"


def lines(g: Graph, costs: Mapping[str, Row], plan: Outline) -> Iterator[Line]:
    """The rows of the table: every step below the part it belongs to, and the total."""
    yield from _part(g, costs, plan.root, "", "")
    yield Line(("total", "", *_numbers(total(costs.values()))), strong=True)


def _part(g: Graph, costs: Mapping[str, Row], part: Part, base: str, indent: str) -> Iterator[Line]:
    """The rows of a part. `base` is the path that its names leave out."""
    for item in part.items:
        if isinstance(item, str):
            yield Line((indent + _step(g, item), _shape(g, item), *_numbers(costs[item])))
        elif item.kind in NAMELESS:
            yield from _part(g, costs, item, base, indent)
        else:
            times = f" (x {item.copies})" if item.copies > 1 else ""
            sums = _numbers(total(costs[key] for key in item.covers))
            yield Line((f"{indent}{item.path.removeprefix(base)}{times}", "", *sums), strong=True)
            yield from _part(g, costs, item, item.inside, f"{indent}  ")


def _shape(g: Graph, key: str) -> str:
    return f"({', '.join(map(str, g.node(key).type.dims))})"


def _step(g: Graph, key: str) -> str:
    """`norm(kind=layer)`, and its name where that is another: `mix: s4(state=64)`."""
    node, name = g.node(key), key.rpartition(".")[2]
    given = ", ".join(arguments(node))
    call = f"{node.op.name}({given})" if given else node.op.name
    return call if name == node.op.name else f"{name}: {call}"


def _numbers(r: Row) -> tuple[str, ...]:
    numbers = (f"{r.parameters:,}", scaled(r.flops), scaled(r.activations, "B"), scaled(r.state, "B"))
    return tuple("-" if text.startswith("0") else text for text in numbers)


def footing(costs: list[Row], folded: bool, each: str) -> str:
    """Whether the model can be stepped, and what the columns count."""
    ahead, state = acausal(costs), total(costs).state
    notes = [f"causal: can be stepped, with {scaled(state, 'B')} of state for each {each}"]
    if ahead:
        notes = ["not causal, so it cannot be stepped; what looks ahead:"]
        notes += [f"  {r.operator} at {r.location}" for r in ahead]
    notes += [
        f"FLOPs (forward) and state are of one {each}; kept is what the backward pass",
        "needs, of the batch",
    ]
    if folded:
        notes.append("(x N): the sum of N equal layers, of which one is shown below it")
    return "\n".join(notes)


def as_dict(g: Graph, costs: list[Row], length: int, batch: int) -> dict[str, object]:
    """What a program reads."""
    ahead = acausal(costs)
    return {
        "model": g.name,
        "arguments": dict(g.arguments),
        "length": length,
        "batch": batch,
        "dtype": "float32",
        "rows": [{**_row(r), **_place(r), "arguments": r.arguments, "output": r.output} for r in costs],
        "total": _row(total(costs)),
        "causal": not ahead,
        "looks_ahead": [_place(r) for r in ahead],
    }


def _place(r: Row) -> dict[str, object]:
    return {"path": r.path, "operator": r.operator, "location": str(r.location)}


def _row(r: Row) -> dict[str, object]:
    return {
        "parameters": r.parameters,
        "flops": round(r.flops),
        "activation_bytes": round(r.activations),
        "state_bytes": r.state,
    }
