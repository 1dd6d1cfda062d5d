"""Table: rows as text, aligned; bold and wrapped to its width on a terminal, plain and never cut elsewhere.

Written out here because 7,000 rows, a model of 1,000 layers, take 4 s with `rich` and 0.05 s so.
"""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

GAP = "  "
NARROWEST = 22
"""Characters that the first column has at least."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table. A `strong` one stands out: it sums what is below or above it."""

    cells: tuple[str, ...]
    strong: bool = False


def table(heads: tuple[str, ...], lines: Sequence[Line], stream: TextIO) -> str:
    """The rows under their heads: names, wrapped where a terminal is narrow, then shapes, then numbers."""
    rows = [Line(heads, strong=True), *lines]
    widths = [max(len(row.cells[i]) for row in rows) for i in range(len(heads))]
    terminal = stream.isatty()
    if terminal:
        others = sum(widths[1:]) + len(GAP) * (len(widths) - 1)
        widths[0] = min(widths[0], max(shutil.get_terminal_size().columns - others, NARROWEST))
    bold = terminal and not os.environ.get("NO_COLOR")
    return "\n".join(_row(row, widths, bold and row.strong) for row in rows)


def _row(row: Line, widths: list[int], bold: bool) -> str:
    """The text of a row. Where its name takes several lines, the rest stands beside the first."""
    name, *more = wrapped(row.cells[0], widths[0]) or [""]
    cells = [name.ljust(widths[0]), row.cells[1].ljust(widths[1])]
    cells += [cell.rjust(width) for cell, width in zip(row.cells[2:], widths[2:], strict=True)]
    lines = [line.rstrip() for line in (GAP.join(cells), *more)]
    return "\n".join(f"\033[1m{line}\033[0m" if bold else line for line in lines)


def wrapped(text: str, longest: int) -> list[str]:
    """Text in lines, those behind the first indented further; a word that is too long stays whole."""
    if len(text) <= longest:
        return [text]
    indent = " " * (len(text) - len(text.lstrip()))
    deeper = f"{indent}    "
    return textwrap.wrap(
        text.lstrip(),
        longest,
        initial_indent=indent,
        subsequent_indent=deeper,
        break_long_words=False,
        break_on_hyphens=False,
    )


def scaled(number: float, unit: str = "") -> str:
    """`0`, `812`, `12.3 k`, `4.6 MB`: a number with three digits and a prefix."""
    for prefix in ("", "k", "M", "G", "T"):
        if abs(number) < 999.5:
            return f"{number:.3g} {prefix}{unit}".strip()
        number /= 1000
    return f"{number:,.0f} P{unit}"
