"""`smrdsl graph`: the picture of a model. Needs no torch."""

from __future__ import annotations

from pathlib import Path

import click

from smrdsl.cli.options import lower_file, model_options
from smrdsl.core.errors import SmrError
from smrdsl.draw.render import LEVELS, form_of, render
from smrdsl.passes.drop_skip import DropSkip


@click.command()
@model_options
@click.option("-o", "picture", metavar="PIC", 
              help="The picture, by default <model>.svg; its ending says in which form: .svg, .png, "
              ".pdf, .dot, .mmd or .json.")  # fmt: skip
@click.option("--level", type=click.Choice(LEVELS), default="op", show_default=True,
              help="op: every operation; block: equal layers once, components closed.")  # fmt: skip
def command(
    file: str,
    name: str | None,
    settings: tuple[str, ...],
    limits: tuple[str, ...],
    picture: str | None,
    level: str,
) -> int:
    """Draw a model of FILE (`-` is standard input) and print where the picture is."""
    if picture is not None:
        _need_form(Path(picture))
    graph = DropSkip().run(lower_file(file, name, settings, limits))  # what does nothing tells nothing
    written = render(graph, picture or f"{graph.name}.svg", level)
    print(click.format_filename(written), flush=True)
    return 0


def _need_form(path: Path) -> None:
    try:
        form_of(path)
    except SmrError as error:
        raise click.UsageError(str(error)) from None
