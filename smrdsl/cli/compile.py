"""`smrdsl compile`: from a spec to a package that Python imports."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click
from rich.console import Console

from smrdsl.cli.dump import Dump
from smrdsl.cli.options import lower_model, memory_option, model_options
from smrdsl.compiler import Lowered, compile_lowered
from smrdsl.core.errors import SmrError
from smrdsl.graph.graph import Graph
from smrdsl.passes.order import passes_without
from smrdsl.runtime.conditions import DTYPES, LARGEST, MODES


@click.command()
@model_options
@click.option("-o", "folder", metavar="DIR", help="The package, by default build/<model>.")
@click.option("--length", type=click.IntRange(1, LARGEST), help="The length to plan for.")
@click.option("--batch", type=click.IntRange(1, LARGEST), help="The batch size to plan for.")
@click.option("--mode", type=click.Choice(MODES), default="infer", show_default=True)
@click.option("--dtype", type=click.Choice(DTYPES), default=None)
@click.option("--device", default=None, help="cpu, cuda, ...")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the initial weights.")
@click.option("--weights", metavar="PATH", help="A file, a package or a checkpoint with the model's weights.")
@memory_option
@click.option("--disable", multiple=True, metavar="PASS", help="Leave a pass out. Repeatable.")
@click.option("--dump-passes", "dump", metavar="DIR", help="Write the graph after each pass: text, picture, time.")
@click.option("--quiet", is_flag=True, help="Print nothing but diagnostics.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def command(
    file: str,
    name: str | None,
    settings: tuple[str, ...],
    limits: tuple[str, ...],
    folder: str | None,
    quiet: bool,
    as_json: bool,
    dump: str | None,
    disable: tuple[str, ...],
    **options: object,
) -> int:
    """Compile a model of FILE (`-` is standard input) to a package: weights, source, graph and picture."""
    try:
        passes_without(disable)
    except SmrError as error:
        raise click.UsageError(str(error)) from None
    lowered = lower_model(file, name, settings, limits)
    target = Path(folder or f"build/{lowered.graph.name}")
    made = _compile(lowered, target, dump, {"disable": disable, **options}, show=not (quiet or as_json))
    if as_json:
        print(json.dumps(made))
    elif not quiet:
        _tell_made(lowered.graph, made)
    return 0


def _compile(
    lowered: Lowered, target: Path, dump: str | None, options: dict[str, object], *, show: bool
) -> dict[str, object]:
    """Make the package, with a spinner where a person watches; importing torch alone takes seconds."""
    from smrdsl.runtime.package import check_target, save_package

    check_target(target)  # before the work, not after it
    console = Console(stderr=True, quiet=not show)
    with console.status(f"compiling {lowered.graph.name}"):
        model = compile_lowered(lowered, watch=None if dump is None else Dump(Path(dump)), **options)  # type: ignore[arg-type]
        save_package(model, target)
    return {
        "model": lowered.graph.name,
        "package": str(target),
        "picture": str(next(target.glob("architecture.*"), "")),
        "parameters": sum(p.numel() for p in model.parameters()),
        "strategies": model.plan.strategies,
    }


def _tell_made(g: Graph, made: dict[str, object]) -> None:
    start, end = g.node(g.input).type, g.node(g.output).type
    print(f"{made['model']}: {start} -> {end}, {made['parameters']:,} parameters")
    print(f"  package  {made['package']}")
    if made["picture"]:
        print(f"  picture  {made['picture']}")
    executed = made["strategies"].items()  # type: ignore[attr-defined]
    counts = Counter(f"{g.node(key).op.name} as {strategy}" for key, strategy in executed)
    for what, number in counts.items():
        print(f"  {what} x {number}" if number > 1 else f"  {what}")
