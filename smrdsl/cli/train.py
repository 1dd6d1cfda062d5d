"""`smrdsl train`: a model and data in, a trained package with its figures out."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click
from rich.console import Console

from smrdsl.cli.options import lower_model, memory_option, model_options
from smrdsl.cli.output import visible
from smrdsl.core.errors import SmrError
from smrdsl.training.job import PACKAGE, Job, Stopped, prepare
from smrdsl.training.settings import Settings, settings_from
from smrdsl.training.train import conditions, need_lightning, start

STOPPED = 130


class _Clip(click.ParamType):
    """A number, or the word none."""

    name = "FLOAT|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        return None if value == "none" else click.FLOAT.convert(value, param, ctx)


def _option(name: str) -> Any:
    """The option of a setting: its type, default and description are the setting's own."""
    field = Settings.model_fields[name]
    kinds = [k for k in getattr(field.annotation, "__args__", (field.annotation,)) if k is not type(None)]
    words = [k for k in kinds if isinstance(k, str)]
    kind: Any = click.Choice(words) if words else kinds[0]
    if name == "clip":
        kind = _Clip()
    shown = field.default is not None
    return click.option(f"--{name.replace('_', '-')}", name, type=kind, default=field.default, show_default=shown,
                        help=field.description)  # fmt: skip


def setting_options(command: Any) -> Any:
    for name in reversed(Settings.model_fields):
        command = _option(name)(command)
    return command


def show_data(ctx: click.Context, option: click.Parameter, asked: bool) -> None:
    """Print the data sets with their options."""
    if not asked:
        return
    from smrdsl.data.registry import datasets

    for dataset in datasets().values():
        path = f":{dataset.path.removesuffix('?').upper()}" if dataset.path else ""
        print(f"{dataset.name}{f'[{path}]' if dataset.path.endswith('?') else path}\n    {dataset.summary}")
        for name, field in dataset.options.model_fields.items():
            print(f"    -O {name}={field.default}  {field.description or ''}".rstrip())
    ctx.exit()


@click.command()
@model_options
@click.option("--data", required=True, metavar="NAME|PATH", help="A data set, or an .npz file of your own.")
@click.option("-O", "--option", "options", multiple=True, metavar="NAME=VALUE", help="Of the data set. Repeatable.")
@click.option("--list-data", is_flag=True, is_eager=True, expose_value=False, callback=show_data,
              help="Show the data sets with their options and exit.")  # fmt: skip
@click.option("--length", type=click.IntRange(1), help="Of the sequences, by default the spec's.")
@click.option(
    "--out", metavar="DIR", help="Checkpoints, logs, figures and the package; by default build/train/<model>."
)
@memory_option
@click.option("--resume", is_flag=True, help="Go on with the training in that folder.")
@setting_options
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(
    file: str,
    name: str | None,
    settings: tuple[str, ...],
    limits: tuple[str, ...],
    data: str,
    options: tuple[str, ...],
    length: int | None,
    out: str | None,
    resume: bool,
    memory: int | None,
    threads: int | None,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Train a model of FILE (`-` is standard input) on data, and keep the weights that are best on what is held out."""
    chosen = _settings(given)
    lowered = lower_model(file, name, settings, limits)
    job = Job(data=data, options=_options(options), length=length, out=out, resume=resume, quiet=quiet or as_json,
              settings=chosen)  # fmt: skip
    console = Console(stderr=True, quiet=job.quiet)
    ready = prepare(lowered.graph, job, lambda message: console.print(visible(message), highlight=False, markup=False))
    with console.status("importing torch"):
        from smrdsl.compiler import compile_lowered

        need_lightning()
        model = compile_lowered(lowered, memory=memory, threads=threads, **conditions(ready))
    try:
        trained = start(model, ready)
    except Stopped as stopped:
        print(visible(str(stopped)), file=sys.stderr)
        return STOPPED
    if trained.metrics and as_json:
        print(json.dumps(trained.metrics | {"out": str(trained.folder)}))
    elif trained.metrics and not quiet:
        _tell(trained.metrics, str(trained.folder))
    return 0


def _settings(given: dict[str, Any]) -> Settings:
    try:
        return settings_from(given)
    except SmrError as error:
        raise click.UsageError(str(error)) from None


def _options(given: tuple[str, ...]) -> dict[str, str]:
    """`-O train=500` and its kin."""
    for item in given:
        if "=" not in item:
            raise click.UsageError(f"-O {item}: write NAME=VALUE")
    return {name.strip(): value for name, _, value in (item.partition("=") for item in given)}


def _tell(metrics: dict[str, Any], out: str) -> None:
    """What a person reads at the end."""
    metric, unit = metrics["metric"], f" {metrics['unit']}" if metrics["unit"] else ""
    value = metrics["test"][metric]
    spoken = metric.replace("_", " ")
    print(
        f"{metrics['model']} on {metrics['data']}: {spoken} {value:.4g}{unit} "
        f"on {metrics['sequences']['test']:,} sequences"
    )
    for baseline in metrics["baselines"]:
        print(f"  {baseline['name']:<24} {baseline['value']:.4g}{unit}")
    print(f"  best at step {metrics['best_step']} of {metrics['steps']}, in {metrics['seconds']:.0f} s")
    print(f"  package  {os.path.join(out, PACKAGE)}")
    print(f"  figures  {os.path.join(out, 'metrics.json')}")
