"""`smrdsl check`: all diagnostics of all files, in one run, without torch."""

from __future__ import annotations

import sys

import click

from smrdsl.cli.options import limits_from, read
from smrdsl.cli.output import STYLES, tell
from smrdsl.core.codes import CODES
from smrdsl.core.errors import Diagnostic, SpecError, did_you_mean
from smrdsl.spec.resolve import Resolver


@click.command()
@click.argument("files", nargs=-1)
@click.option("--format", "style", type=click.Choice(STYLES), default="text")
@click.option("--explain", metavar="CODE", help="Explain a code and stop.")
@click.option("--quiet", is_flag=True, help="Only the exit code.")
@click.option("--limit", "limits", multiple=True, metavar="NAME=N", help="Raise a limit. Repeatable.")
def command(
    files: tuple[str, ...],
    style: str,
    explain: str | None,
    quiet: bool,
    limits: tuple[str, ...],
) -> int:
    """Check FILES (`-` is standard input) and tell all that is wrong."""
    if explain:
        return explain_code(explain)
    if not files:
        raise click.UsageError("name at least one file, or `-` for standard input")
    bounds = limits_from(limits)
    found: list[Diagnostic] = []
    for file in files:
        try:
            source, path = read(file, bounds)
            resolver = Resolver(source, path, bounds)
            resolver.check()
            found += resolver.report.diagnostics
        except SpecError as error:
            found += error.diagnostics
    # What is wrong in an import is found by all that import it.
    found = list({str(d): d for d in found}.values())
    errors = sum(d.severity == "error" for d in found)
    tell(found, style, quiet)
    if not quiet and style == "text" and sys.stderr.isatty():
        print(summary(errors, len(found) - errors, len(files)), file=sys.stderr)
    return 1 if errors else 0


def summary(errors: int, warnings: int, files: int) -> str:
    def count(n: int, noun: str) -> str:
        return f"{n} {noun}{'s' * (n != 1)}"

    return f"{count(errors, 'error')}, {count(warnings, 'warning')} in {count(files, 'file')}"


def explain_code(name: str) -> int:
    """Print what a code means."""
    code = CODES.get(name.upper())
    if code is None:
        raise click.UsageError(f"no code {name}{did_you_mean(name, CODES)}")
    print(f"{name.upper()}: {code.title}\n\n{code.explanation}")
    return 0
