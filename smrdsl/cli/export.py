"""`smrdsl export`: a model as other programs read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from smrdsl.checkpoints.export import describe, is_export
from smrdsl.cli.options import lower_model, model_options
from smrdsl.compiler import Lowered, compile_lowered
from smrdsl.core.write import check_folder

Exporter = Callable[[Lowered, Path, dict[str, object]], dict[str, object]]


def to_huggingface(lowered: Lowered, target: Path, options: dict[str, object]) -> dict[str, object]:
    """config.json and model.safetensors, which transformers loads. What cannot be is told before any work."""
    check_folder(target, is_export)
    architecture = describe(lowered.graph).format.architecture
    model = compile_lowered(lowered, mode="infer", **options)  # type: ignore[arg-type]
    model.save_pretrained(target)
    return {"architecture": architecture, "parameters": sum(p.numel() for p in model.parameters())}


EXPORTERS: dict[str, Exporter] = {"huggingface": to_huggingface}


@click.command()
@model_options
@click.option("--to", "form", type=click.Choice(list(EXPORTERS)), required=True, help="For which program.")
@click.option("-o", "folder", metavar="DIR", help="The folder, by default build/<model>-<program>.")
@click.option("--weights", metavar="PATH", help="A file, a package or a checkpoint with the model's weights.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the initial weights, where none are given.")
@click.option("--quiet", is_flag=True, help="Print nothing but diagnostics.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def command(
    file: str,
    name: str | None,
    settings: tuple[str, ...],
    limits: tuple[str, ...],
    form: str,
    folder: str | None,
    quiet: bool,
    as_json: bool,
    **options: object,
) -> int:
    """Write a model of FILE (`-` is standard input) as another program reads it."""
    lowered = lower_model(file, name, settings, limits)
    model = lowered.graph.name
    target = Path(folder or f"build/{model}-{form}")
    with Console(stderr=True, quiet=quiet or as_json).status(f"exporting {model}"):
        made = {"model": model, "folder": str(target), **EXPORTERS[form](lowered, target, options)}
    if as_json:
        print(json.dumps(made))
    elif not quiet:
        print(f"{model}: {made['architecture']}, {made['parameters']:,} parameters")
        print(f"  folder   {target}")
    return 0
