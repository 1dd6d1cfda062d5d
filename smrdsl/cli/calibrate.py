"""`smrdsl calibrate`: measures this machine, so that plans choose by its own timings."""

from __future__ import annotations

import datetime
import json

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from smrdsl.ops.contract import Timing
from smrdsl.plan.calibration import calibration, place, write


@click.command()
@click.option("--show", is_flag=True, help="Measure nothing; say what plans choose by now.")
@click.option("--quiet", is_flag=True, help="Print nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the timings as JSON.")
def command(show: bool, quiet: bool, as_json: bool) -> int:
    """Measure what every core takes on this machine by every strategy, in under two minutes, and keep it."""
    if show:
        print(f"timings {calibration().told}\n  {place()}", flush=True)
        return 0
    tables = _measure(Console(stderr=True, quiet=quiet or as_json))
    file = write(tables, datetime.date.today().isoformat())
    if as_json:
        print(json.dumps(json.loads(file.read_text(encoding="utf-8"))["timings"], indent=1), flush=True)
    elif not quiet:
        print(f"measured {len(tables)} cores; plans on this machine choose by {file} from now on", flush=True)
    return 0


def _measure(console: Console) -> dict[str, dict[str, tuple[Timing, ...]]]:
    with console.status("importing torch"):
        from smrdsl.runtime.calibrate import LENGTHS, cores, measure
        from smrdsl.runtime.timing import threads
    tables: dict[str, dict[str, tuple[Timing, ...]]] = {}
    columns = TextColumn("{task.description:<24}"), BarColumn(), TimeElapsedColumn()
    # One thread, as the declared timings were measured: threads serve all strategies alike.
    with threads(1), Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(cores()) * len(LENGTHS))
        for op in cores():
            table: dict[str, tuple[Timing, ...]] = {}
            for length, timings in measure(op, LENGTHS):
                progress.update(task, advance=1, description=f"{op.name}, length {length:,}")
                for name, timing in timings.items():
                    table[name] = (*table.get(name, ()), timing)
            tables[op.name] = table
    return tables
