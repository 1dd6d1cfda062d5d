"""`smrdsl new`: a commented spec to start from, or the spec of a checkpoint."""

from __future__ import annotations

import keyword
import sys
from importlib.resources import files
from pathlib import Path

import click

from smrdsl.core.errors import Diagnostic, SmrError
from smrdsl.core.source import Source
from smrdsl.spec.resolve import Resolver

PLACEHOLDER = "my_model"


@click.command()
@click.argument("name")
@click.option("-o", "file", metavar="FILE", help="The file, by default NAME.smr; `-` prints. No file is overwritten.")
@click.option("--from", "folder", metavar="DIR", help="A checkpoint of transformers or mamba_ssm (Mamba, Mamba-2).")
def command(name: str, file: str | None, folder: str | None) -> int:
    """Write a spec to start from, or the spec of a checkpoint, for a model called NAME."""
    text = starting_text(name) if folder is None else checkpoint_text(name, Path(folder))
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
    _check_name(name)
    template = files("smrdsl").joinpath("templates", "model.smr").read_text(encoding="utf-8")
    text = template.replace(PLACEHOLDER, name)
    if mistake := _mistake(name, text):
        raise click.UsageError(f"`{name}` cannot name a model: {mistake.message}")
    return text


def checkpoint_text(name: str, folder: Path) -> str:
    """The text of the spec of a checkpoint. Raises `SmrError` where its config says what no spec can."""
    from smrdsl.checkpoints.config import FILE, read_config
    from smrdsl.checkpoints.formats import facts_of_config, says_all
    from smrdsl.checkpoints.spec import spec_text

    starting_text(name)  # which refuses a name that no model can have
    config = read_config(folder)
    if config is None:
        raise SmrError(f"there is no {FILE} in {folder}, which is to say what model the weights are of")
    keys = None if says_all(config) else _keys(folder)
    format, facts = facts_of_config(config, keys)
    text = spec_text(name, format, facts, config.where, str(folder))
    if mistake := _mistake(name, text):
        raise SmrError(f"{config.where} describes a model that cannot be: {mistake.message}")
    return text


def _keys(folder: Path) -> frozenset[str] | None:
    """The names of the tensors in a folder, None where it has no weights."""
    from smrdsl.runtime.errors import WeightsError
    from smrdsl.runtime.tensors import open_tensors

    try:
        return frozenset(open_tensors(folder).shapes)
    except WeightsError:
        return None


def _check_name(name: str) -> None:
    if not (name.isidentifier() and name.isascii()):
        message = f"`{name}` cannot name a model: a name has letters, digits and _, and starts with no digit"
        raise click.UsageError(message)
    if keyword.iskeyword(name):
        raise click.UsageError(f"`{name}` cannot name a model: Python could not import it")


def _mistake(name: str, text: str) -> Diagnostic | None:
    """The first mistake of the text, with that name in it."""
    resolver = Resolver(Source(name, text))
    resolver.check()
    return next((d for d in resolver.report.diagnostics if d.severity == "error"), None)
