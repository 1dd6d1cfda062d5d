"""`smrdsl probe`: what irregular sampling does to a model, and what SMR changes about it, as a page with numbers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from smrdsl.cli.options import limits_from, model_options, read, settings_from
from smrdsl.cli.output import paint, visible

if TYPE_CHECKING:
    from smrdsl.probe.result import Result

PARTS = ("stability", "nss", "sampling", "volterra", "insert")
TASKS = ("next", "osc", "mg", "energy")


@click.command()
@model_options
@click.option("--part", type=click.Choice(PARTS), help="One part; by default all of them.")
@click.option("--weights", metavar="PATH", help="A file, a package, a checkpoint or the folder of a training.")
@click.option("--task", type=click.Choice(TASKS), help="What is learned, by default next; with --weights, what was.")
@click.option("--seeds", type=click.IntRange(1, 1000), help="How many models of each variant, by default 5.")
@click.option("--steps", type=click.IntRange(1, 1_000_000), help="Of training, by default 300.")
@click.option("--length", type=click.IntRange(16, 1024), help="Of the sequences, by default 128.")
@click.option("--batch", type=click.IntRange(1, 4096), help="Of training, by default 24.")
@click.option("--lr", type=click.FloatRange(0, 1, min_open=True), help="The learning rate, by default 0.005.")
@click.option("--train-grid", "grid", metavar="GRID", help="Train on another grid: mix, jitter=0.5, ...")
@click.option("--quick", is_flag=True, help="Two seeds, a short training, few grids: a first look.")
@click.option("-o", "--out", "folder", metavar="DIR", help="Where page and numbers go, by default build/probe/<model>.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON, and write nothing.")
@click.option("--quiet", is_flag=True, help="Print nothing but diagnostics.")
def command(
    file: str,
    name: str | None,
    settings: tuple[str, ...],
    limits: tuple[str, ...],
    part: str | None,
    weights: str | None,
    task: str | None,
    seeds: int | None,
    quick: bool,
    folder: str | None,
    as_json: bool,
    quiet: bool,
    **recipe: Any,
) -> int:
    """Probe how a model of FILE (`-` is standard input) takes to irregular sampling.

    Beside it stand its SMR twin, a linear filter of the same size, and the model that is told the gaps.
    """
    bounds, values = limits_from(limits), settings_from(settings)
    source, path = read(file, bounds)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=Console(stderr=True, quiet=quiet or not sys.stderr.isatty()), transient=True,
    ) as progress:  # fmt: skip
        bar = progress.add_task("importing torch", total=1.0)
        from smrdsl.probe.run import probe_subject
        from smrdsl.probe.subject import named

        def tell(doing: str, share: float) -> None:
            progress.update(bar, description=doing, completed=share)

        subject = named(source, path, name, values, weights, bounds)
        target = Path(folder or f"build/probe/{subject.name}")
        if not as_json:
            _check_target(target)
        result = probe_subject(
            subject, part, task=task, seeds=seeds, quick=quick, recipe=_recipe(recipe, quick), tell=tell
        )
        tell("writing", 1.0)
        written = None if as_json else result.save(target)
    if written is None:
        print(result.as_json(), flush=True)
    elif not quiet:
        _show(result, written)
    return 0


def _recipe(given: dict[str, Any], quick: bool) -> Any:
    """The recipe with what was asked for; what was asked for is not made shorter by --quick."""
    from smrdsl.probe.run import recipe_of

    return recipe_of(quick, steps=given["steps"], length=given["length"], batch=given["batch"], rate=given["lr"],
                     grid=given["grid"])  # fmt: skip


def _check_target(target: Path) -> None:
    """Refuse before the work, not behind it, where the page cannot be drawn or written. Raises `SmrError`."""
    from smrdsl.probe.plots import drawn
    from smrdsl.probe.result import made_folder

    drawn(lambda figure: None, 1, 1)
    made_folder(target)


def _show(result: Result, written: tuple[Path, Path]) -> None:
    from smrdsl.probe.report import HEADINGS
    from smrdsl.probe.sentences import sentences
    from smrdsl.probe.summary import summary

    short = summary(result)
    if short:
        print(visible(short))
    for part, lines in sentences(result).items():
        print(paint(HEADINGS[part], "place", sys.stdout))
        for line in lines:
            print(visible(f"  {line}"))
    print(f"page     {written[0]}")
    print(f"numbers  {written[1]}")
