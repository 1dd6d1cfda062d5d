"""The command `smrdsl`: finds the command's file, and turns every way to fail into a clear line and an exit code.

0 fine, 1 the spec has errors, 2 the command line is wrong, 3 an internal failure. A command is a file here with a click
command called `command`; nothing lists them.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

import click

from smrdsl.cli.output import tell
from smrdsl.core.errors import SmrError, SpecError

HERE = Path(__file__).parent
NOT_COMMANDS = ("__init__", "main", "output", "options")
ISSUES = "https://github.com/smrdsl/smrdsl/issues"


class Commands(click.Group):
    """Commands are imported only when they run, so that `check` and `fmt` start quickly."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(p.stem for p in HERE.glob("*.py") if p.stem not in NOT_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        return import_module(f"smrdsl.cli.{name}").command

    def resolve_command(self, ctx: click.Context, args: list[str]):  # noqa: ANN201
        from smrdsl.core.errors import did_you_mean

        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            known = self.list_commands(ctx)
            hint = did_you_mean(args[0], known) or f"; there are {', '.join(known)}"
            ctx.fail(f"no command `{args[0]}`{hint}")
        return super().resolve_command(ctx, args)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, help="Print the version and stop.")
@click.pass_context
def cli(ctx: click.Context, version: bool) -> None:
    """Describe stacks of state-space models; get a drawn, checked, fast PyTorch module."""


def main() -> None:
    """The entry point; never shows a traceback unless SMRDSL_DEBUG is set."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command line and give its exit code."""
    if "--version" in arguments[:1]:
        from smrdsl import __version__

        print(f"smrdsl {__version__}")
        return 0
    try:
        return cli.main(arguments, prog_name="smrdsl", standalone_mode=False) or 0
    except SpecError as error:
        tell(error.diagnostics)
        return 1
    except SmrError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except click.UsageError as error:
        error.show()
        return 2
    except click.Abort:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except Exception as error:
        if os.environ.get("SMRDSL_DEBUG"):
            raise
        print(f"internal failure: {type(error).__name__}: {error}", file=sys.stderr)
        print(f"please report it with the spec: {ISSUES} (SMRDSL_DEBUG=1 shows more)", file=sys.stderr)
        return 3
