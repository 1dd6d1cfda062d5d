"""Options that several commands share, and the reading of what they name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from smrdsl.core.errors import Diagnostic, Report, SmrError, SpecError
from smrdsl.core.source import Source
from smrdsl.runtime.conditions import bytes_of
from smrdsl.spec.evaluate import Evaluator
from smrdsl.spec.files import Unit, read_source
from smrdsl.spec.limits import Limits
from smrdsl.spec.values import Scope, Value
from smrdsl.syntax import tree
from smrdsl.syntax.parse import parse

if TYPE_CHECKING:
    from smrdsl.compiler import Lowered
    from smrdsl.graph.graph import Graph

F = TypeVar("F", bound=Callable[..., object])
STDIN = "<stdin>"


def model_options(command: F) -> F:
    """FILE, --model, --set and --limit."""
    for option in (
        click.option("--limit", "limits", multiple=True, metavar="NAME=N",
                     help="Raise a limit: text, nodes, parameters or depth. Repeatable."),
        click.option("--set", "settings", multiple=True, metavar="NAME=VALUE",
                     help="Set a parameter of the model. Repeatable."),
        click.option("--model", "name", help="The model, by default the first of the file."),
        click.argument("file"),
    ):  # fmt: skip
        command = option(command)
    return command


def memory_option(command: F) -> F:
    """--memory and --threads."""
    for option in (
        click.option("--memory", metavar="BYTES", callback=_bytes,
                     help="What the peak has to fit in, such as 2GiB: parts are run again that cannot be kept."),
        click.option("--threads", type=click.IntRange(1, 1024), help="To plan for; by default as many as torch takes."),
    ):  # fmt: skip
        command = option(command)
    return command


def _bytes(context: click.Context, option: click.Parameter, given: str | None) -> int | None:
    try:
        return None if given is None else bytes_of(given)
    except SmrError as error:
        raise click.BadParameter(str(error)) from None


def read(file: str, limits: Limits) -> tuple[Source, Path | None]:
    """The text of a file, or of standard input for `-`, with the path that its imports are relative to."""
    if file != "-":
        return read_source(Path(file), limits.text), Path(file)
    data = sys.stdin.buffer.read(limits.text + 1)
    if len(data) > limits.text:
        raise _unreadable("E0701", f"standard input has more than {limits.text:,} bytes of text")
    try:
        return Source(STDIN, data.decode("utf-8-sig")), Path.cwd() / STDIN
    except UnicodeDecodeError as error:
        message = f"standard input is not UTF-8 text: byte {error.start + 1:,} is 0x{data[error.start]:02x}"
        raise _unreadable("E0601", message) from None


def _unreadable(code: str, message: str) -> SpecError:
    return SpecError([Diagnostic(code, message, file=STDIN)])


def limits_from(given: tuple[str, ...]) -> Limits:
    """`--limit nodes=1_000_000` and its kin."""
    limits = Limits()
    known = list(Limits.__dataclass_fields__)
    for item in given:
        name, _, number = item.partition("=")
        if name not in known:
            raise click.UsageError(f"--limit {item}: there are the limits {', '.join(known)}")
        try:
            value = int(float(number)) if "e" in number.lower() else int(number)
        except (ValueError, OverflowError):
            value = 0
        if value < 1:
            raise click.UsageError(f"--limit {item}: a whole number of at least 1 is needed behind `=`")
        limits = replace(limits, **{name: value})
    return limits


def settings_from(given: tuple[str, ...]) -> dict[str, Value]:
    """`--set depth=2`: the value is an expression of the language, without names."""
    values: dict[str, Value] = {}
    for item in given:
        name, equals, text = item.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            raise click.UsageError(f"--set {item}: write NAME=VALUE")
        report = Report()
        file = parse(Source("--set", f"let {name} = {text}"), report)
        let = file.items[0] if file and len(file.items) == 1 else None
        if not isinstance(let, tree.Let):
            raise click.UsageError(f"--set {item}: `{text}` is no value of the language")
        value = Evaluator(Scope(), report, Unit(file, None)).value(let.value)  # type: ignore[arg-type]
        if report.failed:
            raise click.UsageError(f"--set {item}: {report.diagnostics[0].message}")
        values[name] = value
    return values


def lower_model(file: str, name: str | None, settings: tuple[str, ...], limits: tuple[str, ...]) -> Lowered:
    """A model of a file as the options want it; warnings are told. Raises `SpecError`. Needs no torch."""
    from smrdsl.cli.output import tell
    from smrdsl.compiler import lower_source

    bounds = limits_from(limits)
    values = settings_from(settings)
    source, path = read(file, bounds)
    lowered = lower_source(source, path, model=name, set=values, limits=bounds)
    tell(lowered.warnings)
    return lowered


def lower_file(file: str, name: str | None, settings: tuple[str, ...], limits: tuple[str, ...]) -> Graph:
    """The graph of such a model."""
    return lower_model(file, name, settings, limits).graph
