"""The table of the harness: a line for each row, as Markdown, ratios first.

`over one` is how many times faster several threads are than one by the wall's clock, and, in brackets, by the time of
the first thread. Memory is the peak of forward and backward, ours / theirs.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.peers.measure import Row, Skipped

HEAD = (
    "| layer | beside | length | work | threads | ratio | goal | roofline | over one | ours | theirs | memory |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def line(row: Row) -> str:
    """One row as a line of the table."""
    cells = (
        row.layer,
        row.peer,
        str(row.length),
        row.work,
        str(row.threads),
        ratio(row),
        goal(row),
        "" if row.share is None else f"{100 * row.share:.0f} %",
        "" if row.scaling is None else f"{row.scaling:.2f}x ({row.shared:.2f}x)",
        f"{row.ours:.4g} ms",
        row.note if row.theirs is None else f"{row.theirs:.4g} ms",
        held(row),
    )
    return f"| {' | '.join(cells)} |"


def ratio(row: Row) -> str:
    """How many times our time theirs is; of a price, what it adds."""
    if row.ratio is None:
        return ""
    return told(row.ratio, row.price)


def goal(row: Row) -> str:
    """The goal, and whether it was reached."""
    if row.goal is None or row.ratio is None:
        return ""
    reached = "reached" if row.ratio >= row.goal else "missed"
    return f"{told(row.goal, row.price)}, {reached}"


def told(number: float, price: bool) -> str:
    return f"{100 / number - 100:+.1f} %" if price else f"{number:.1f}x"


def held(row: Row) -> str:
    """Peak memory of ours and theirs."""
    if row.memory is None:
        return ""
    ours, theirs = ("?" if m is None else f"{m:.0f}" for m in row.memory)
    return f"{ours} / {theirs} MiB"


def skipped(found: Iterable[Skipped]) -> str:
    """Who was left out, and why."""
    return "\n".join(f"{s.case}: skipped, {s.why}" for s in found)
