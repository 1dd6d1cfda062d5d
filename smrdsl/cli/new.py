"""`smrdsl new`: a commented spec to start from. Needs no torch."""

from __future__ import annotations

import keyword
import sys
from importlib.resources import files
from pathlib import Path

import click

from smrdsl.core.source import Source
from smrdsl.spec.resolve import Resolver

PLACEHOLDER = "my_model"


@click.command()
@click.argument("name")
@click.option("-o", "file", metavar="FILE", help="The file, by default NAME.smr; `-` prints. No file is overwritten.")
def command(name: str, file: str | None) -> int:
    """Write a spec to start from, for a model called NAME."""
    text = starting_text(name)
    if file == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return 0
    path = Path(file or f"{name}.smr")
    try:
        with path.open("x", encoding="utf-8", newline="\n") as out:
            out.write(text)
    except FileExistsError:
        shown = click.format_filename(path)
        raise click.UsageError(f"{shown} exists already; name another file with -o") from None
    print(click.format_filename(path), flush=True)
    return 0


def starting_text(name: str) -> str:
    """The text of the spec; a usage error where no model can have that name."""
    if not (name.isidentifier() and name.isascii()):
        message = f"`{name}` cannot name a model: a name has letters, digits and _, and starts with no digit"
        raise click.UsageError(message)
    if keyword.iskeyword(name):
        raise click.UsageError(f"`{name}` cannot name a model: Python could not import it")
    template = files("smrdsl").joinpath("templates", "model.smr").read_text(encoding="utf-8")
    text = template.replace(PLACEHOLDER, name)
    resolver = Resolver(Source(name, text))
    resolver.check()
    if resolver.report.failed:
        raise click.UsageError(f"`{name}` cannot name a model: {resolver.report.diagnostics[0].message}")
    return text
