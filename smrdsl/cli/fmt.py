"""`smrdsl fmt`: one style, in place."""

from __future__ import annotations

import difflib
import sys
from io import StringIO
from pathlib import Path

import click

from smrdsl.cli.options import limits_from, read
from smrdsl.cli.output import tell, visible
from smrdsl.core.errors import Diagnostic, Report, SpecError
from smrdsl.core.write import write_whole
from smrdsl.spec.limits import Limits
from smrdsl.syntax.format import format_text


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
@click.option("--limit", "limits", multiple=True, metavar="NAME=N", help="Raise a limit. Repeatable.")
def command(files: tuple[str, ...], check: bool, diff: bool, limits: tuple[str, ...]) -> int:
    """Write FILES in the one style (`-` reads standard input and prints).

    A file with syntax errors stays as it is.
    """
    bounds = limits_from(limits)
    failed = changed = False
    for file in files:
        try:
            changed |= format_file(file, bounds, check=check, diff=diff)
        except SpecError as error:
            tell(error.diagnostics)
            failed = True
    return 1 if failed or (check and changed) else 0


def format_file(file: str, limits: Limits, *, check: bool, diff: bool) -> bool:
    """Format one file, or show what would change; whether anything would. Raises `SpecError`."""
    source, _ = read(file, limits)
    report = Report()
    text = format_text(source, report, limits.text)
    if text is None:
        raise SpecError(report.diagnostics)
    changed = text != source.text
    if diff:
        write_out("".join(unified(source.text, text, file)))
    if check and changed:
        print(visible(f"{file} would change"), file=sys.stderr)
    if file == "-" and not (check or diff):
        write_out(text)
    elif changed and not (check or diff):
        replace_text(Path(file), text)
    return changed


def write_out(text: str) -> None:
    """Print as it would be in a file, whatever the terminal's encoding and line ends."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())


def unified(before: str, after: str, file: str) -> list[str]:
    """The difference, by lines that end in a line feed."""
    lines = difflib.unified_diff(list(StringIO(before)), list(StringIO(after)), file, f"{file} (formatted)")
    return [line if line.endswith("\n") else line + "\n" for line in lines]


def replace_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    try:
        write_whole(path, text.encode())
    except OSError as error:
        message = f"cannot write {path}: {error.strerror or error}"
        raise SpecError([Diagnostic("E0604", message, file=str(path))]) from None
