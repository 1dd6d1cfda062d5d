"""The command `smrdsl`: finds the command's file, and turns every way to fail into a line and an exit code.

0 fine, 1 the spec has errors, 2 the command line is wrong, 3 an internal failure, 130 stopped by Ctrl-C. A
command is a file here with a click command called `command`; nothing lists them.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from smrdsl import __version__
from smrdsl.cli.output import tell, visible
from smrdsl.core.errors import SmrError, SpecError, did_you_mean

HERE = Path(__file__).parent
NOT_COMMANDS = ("__init__", "dump", "main", "output", "options", "sarif")
ISSUES = "https://github.com/smrdsl/smrdsl/issues"


class ReaderGone(Exception):
    """Who read our output has enough. Not an OSError, which click would turn into an exit code of its own."""


class Commands(click.Group):
    """Commands are imported only when they run, so that `check` and `fmt` start quickly."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(p.stem for p in HERE.glob("*.py") if p.stem not in NOT_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        return import_module(f"smrdsl.cli.{name}").command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            known = self.list_commands(ctx)
            hint = did_you_mean(args[0], known) or f"; there are {', '.join(known)}"
            ctx.fail(f"no command `{args[0]}`{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it printed must be out before it is said to have gone well."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            raise ReaderGone from None
        return code


def show_version(ctx: click.Context, option: click.Parameter, asked: bool) -> None:
    if not asked:
        return
    print(f"smrdsl {__version__}")
    if ctx.params["verbose"]:
        from smrdsl.native import describe, describe_gpu

        print(describe())
        print(describe_gpu())
    ctx.exit()


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--verbose", "-v", is_flag=True, is_eager=True, help="With --version: also which native kernels run.")
@click.option("--version", is_flag=True, expose_value=False, callback=show_version, help="Show the version and exit.")
def cli(verbose: bool) -> None:
    """Describe stacks of state-space models; get a drawn, checked, fast PyTorch module."""


def main() -> None:
    """The entry point; never shows a traceback unless SMRDSL_DEBUG is set."""
    open_streams()
    sys.exit(run(sys.argv[1:]))


def open_streams() -> None:
    """Give a program that was started without a standard stream one that leads nowhere."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of their numbers
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def run(arguments: list[str]) -> int:
    """Run a command line and give its exit code."""
    try:
        return _run(arguments)
    except (ReaderGone, BrokenPipeError):
        with contextlib.suppress(OSError):  # what is left to write goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError:  # standard error cannot be written, so there is nobody to tell
        return 1


def _run(arguments: list[str]) -> int:
    try:
        return cli.main(arguments, prog_name="smrdsl", standalone_mode=False) or 0
    except SpecError as error:
        tell(error.diagnostics)
        return 1
    except SmrError as error:
        return _fail(1, f"error: {error}")
    except click.UsageError as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        return _fail(130, "stopped")
    except (ReaderGone, BrokenPipeError):
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(1, f"error: {where}{error.strerror or error}")
    except Exception as error:
        if os.environ.get("SMRDSL_DEBUG"):
            raise
        report = f"please report it with the spec: {ISSUES} (SMRDSL_DEBUG=1 shows more){_reproducer(error)}"
        return _fail(3, f"internal failure: {type(error).__name__}: {error}\n{report}")


def _reproducer(error: Exception) -> str:
    """For a pass that failed: the graph that it was given, in a file that shows the failure again."""
    from smrdsl.passes.contract import PassFailed, reproducer

    if not isinstance(error, PassFailed):
        return ""
    with tempfile.NamedTemporaryFile("w", prefix=f"smrdsl-{error.name}-", suffix=".json", delete=False) as file:
        file.write(reproducer(error))
    return f"\nand with {file.name}, the graph that the pass was given"


def _fail(code: int, message: str) -> int:
    print(visible(message), file=sys.stderr)
    return code
