"""Calibration: what this machine was measured to take, kept in the user's cache folder, instead of what is shipped.

A file is used only if it is whole and of this machine and version; otherwise the timings that operators declare are,
and `told` says why. Reading needs no torch; `smrdsl calibrate` measures and writes.
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from smrdsl import __version__, native
from smrdsl.core.write import write_whole
from smrdsl.ops.contract import Operator, Timing

FOLDER = "SMRDSL_CACHE"
"""The environment variable that names another folder."""
FILE = "timings.json"
FORMAT = 2
"""Of the file: 2 knows how timings grow with batch, width and work."""
MOST = 1_000_000
"""Bytes of a file that is read."""

Tables = Mapping[str, Mapping[str, tuple[Timing, ...]]]
"""Operator -> strategy -> timings."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The timings of this machine, none where it was not measured, and what a person is told of them."""

    tables: Tables
    told: str


def place() -> Path:
    """The file."""
    folder = os.environ.get(FOLDER)
    return (Path(folder) if folder else user_cache_path("smrdsl", appauthor=False)) / FILE


def machine() -> dict[str, Any]:
    """What timings are true of: a file of another machine, version or set of kernels is stale."""
    return {
        "smrdsl": __version__,
        "format": FORMAT,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "native": native.available(),
    }


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@cache
def calibration() -> Calibration:
    """What is kept for this machine. Never raises."""
    return read(place())


def read(file: Path) -> Calibration:
    """The calibration in a file, or why there is none."""
    shipped = "as shipped; `smrdsl calibrate` measures this machine"
    try:
        if file.stat().st_size > MOST:
            raise ValueError("it is too large")
        held = json.loads(file.read_text(encoding="utf-8"))
        if held["machine"] != machine():
            return Calibration({}, f"{shipped} ({file} is of another machine or version)")
        tables = {op: {s: _timings(rows) for s, rows in table.items()} for op, table in held["timings"].items()}
    except FileNotFoundError:
        return Calibration({}, shipped)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        reason = f"{type(error).__name__}: {error}"
        return Calibration({}, f"{shipped} ({file} cannot be used: {reason})")
    return Calibration(tables, f"measured on this machine, {held.get('date', 'once')}")


def _timings(rows: list[dict[str, Any]]) -> tuple[Timing, ...]:
    """Timings of rising lengths, all above 0. Raises `ValueError` or `TypeError`."""
    found = tuple(_timing(r) for r in rows)
    lengths = [t.length for t in found]
    sound = all(0 < figure < math.inf for t in found for figure in (t.length, t.forward, t.training))
    sound &= all(0 <= power < 2 for t in found for power in (*t.batch, *t.width, *t.work))
    if not found or lengths != sorted(set(lengths)) or not sound:
        raise ValueError("its timings make no sense")
    return found


def _timing(row: dict[str, Any]) -> Timing:
    powers = {name: (float(row[name][0]), float(row[name][1])) for name in ("batch", "width", "work")}
    return Timing(int(row["length"]), float(row["forward"]), float(row["training"]), **powers)


def write(tables: Tables, date: str) -> Path:
    """Keep timings for this machine; the file is written whole or not at all."""
    rows = {op: {s: [asdict(t) for t in timings] for s, timings in table.items()} for op, table in tables.items()}
    file = place()
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps({"machine": machine(), "date": date, "timings": rows}, indent=1).encode())
    calibration.cache_clear()
    return file


def timings_of(op: Operator) -> Mapping[str, tuple[Timing, ...]]:
    """The timings of an operator: this machine's where it was measured, else those that it declares."""
    return {**op.timings, **calibration().tables.get(op.name, {})}
