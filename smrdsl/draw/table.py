"""Table: rows as text, for a terminal with a rule and colours, for a pipe or file plain and never cut."""

from __future__ import annotations

import io
import os
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

GAP = 3
NARROWEST = 16
UNBOUNDED = 10_000


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table. A `strong` one stands out: it sums what is below or above it."""

    cells: tuple[str, ...]
    strong: bool = False


def table(heads: Sequence[str], lines: Sequence[Line], stream: TextIO) -> str:
    """The rows under their heads: names, wrapped where a terminal is narrow, then shapes, then numbers."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = stream.isatty()
    ruled = terminal and (stream.encoding or "").lower().startswith("utf")
    made = Table(box=box.SIMPLE_HEAD if ruled else None, pad_edge=False, show_edge=False, header_style="bold")
    for index, head in enumerate(heads):
        made.add_column(head, justify="right" if index > 1 else "left", no_wrap=True)
    wide = shutil.get_terminal_size().columns if terminal else UNBOUNDED
    room = wide - sum(max(len(line.cells[i]) for line in lines) + GAP for i in range(1, len(heads)))
    for line in lines:
        first = wrapped(line.cells[0], max(room, NARROWEST))
        made.add_row(*(Text(cell, style="bold" if line.strong else "") for cell in (first, *line.cells[1:])))
    text = io.StringIO()
    grey = bool(os.environ.get("NO_COLOR"))
    console = Console(
        file=text, width=UNBOUNDED, force_terminal=terminal, no_color=grey, legacy_windows=False
    )
    console.print(made)
    return "\n".join(row.rstrip() for row in text.getvalue().rstrip("\n").splitlines())


def wrapped(text: str, wide: int) -> str:
    """Text in lines, those behind the first indented further; a word that is too long stays whole."""
    indent = " " * (len(text) - len(text.lstrip()))
    lines = textwrap.wrap(
        text.lstrip(), wide, initial_indent=indent, subsequent_indent=f"{indent}    ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return "\n".join(lines)


def scaled(number: float, unit: str = "") -> str:
    """`0`, `812`, `12.3 k`, `4.6 MB`: a number with three digits and a prefix."""
    for prefix in ("", "k", "M", "G", "T"):
        if abs(number) < 999.5:
            return f"{number:.3g} {prefix}{unit}".strip()
        number /= 1000
    return f"{number:,.0f} P{unit}"
