"""`smrdsl fmt`: one style, in place."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

import click

from smrdsl.cli.options import read
from smrdsl.cli.output import tell
from smrdsl.core.errors import Diagnostic, Report, SpecError
from smrdsl.core.write import write_whole
from smrdsl.spec.limits import Limits
from smrdsl.syntax.format import format_text


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
def command(files: tuple[str, ...], check: bool, diff: bool) -> int:
    """Write FILES in the one style (`-` reads standard input and prints). A file with syntax errors stays as it is."""
    failed = changed = False
    for file in files:
        try:
            source, _ = read(file, Limits())
        except SpecError as error:
            tell(error.diagnostics)
            failed = True
            continue
        report = Report()
        text = format_text(source, report)
        if text is None:
            tell(report.diagnostics)
            failed = True
        elif diff:
            sys.stdout.writelines(unified(source.text, text, file))
        elif file == "-" and not check:
            sys.stdout.write(text)
        elif text != source.text:
            changed = True
            if check:
                print(f"{file} would change", file=sys.stderr)
            else:
                replace_text(Path(file), text)
    return 1 if failed or (check and changed) else 0


def unified(before: str, after: str, file: str) -> list[str]:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), file, f"{file} (formatted)"
    )
    return [line if line.endswith("\n") else line + "\n" for line in lines]


def replace_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    try:
        write_whole(path, text.encode())
    except OSError as error:
        message = f"cannot write {path}: {error.strerror or error}"
        raise SpecError([Diagnostic("E0604", message, file=str(path))]) from None
