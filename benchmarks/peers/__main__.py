"""Us beside published implementations: `python -m benchmarks.peers [CASE ...] [--lengths 1024 4096] [--threads 1 2]`.

Every case has a layer of ours and one of a peer with the same weights, and their outputs are compared first. Then both
run by turns, forward without gradients and forward with backward, in float32. With one thread figures are medians of
its processor's time, with more of wall time; what counts is their ratio. Our layers remake their kernels in every run,
as those of the peers do. Beside it stand the share of what the machine could do at best (`roofline.py`) and the peak
memory of forward and backward at the longest length. A peer that is not there is skipped by name: packages come with
`pip install smrdsl[peers]`, the others from folders where you have put them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers import PEERS, roofline, table
from benchmarks.peers.contract import Peer
from benchmarks.peers.measure import Effort, Row, Skipped, rows
from benchmarks.peers.options import add_sizes, confine, setting_of
from smrdsl.native import VARIABLE, describe


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [p.name for p in PEERS]
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"by default all: {', '.join(names)}")
    parser.add_argument("--lengths", type=int, nargs="+", default=[], help="by default those of each case")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--repeat", type=int, default=9, help="rounds of every row, after one that warms up")
    parser.add_argument("--seconds", type=float, default=40.0, help="a row starts no new round after so many")
    parser.add_argument("--limit", type=float, default=60.0, help="a peer whose run takes longer is left out")
    parser.add_argument("--no-memory", action="store_true", help="do not measure peak memory")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures")
    add_sizes(parser)
    return parser


def parsed(arguments: list[str] | None) -> Any:
    """The options, with names of cases that there are."""
    parser = options()
    given = parser.parse_args(arguments)
    unknown = [name for name in given.cases if name not in {p.name for p in PEERS}]
    if unknown:
        parser.error(f"no case `{unknown[0]}`; there are {', '.join(p.name for p in PEERS)}")
    return given


def measured(given: Any, machine: roofline.Machine) -> Iterator[Row | Skipped]:
    """All rows, case by case."""
    setting = setting_of(given)
    effort = Effort(given.lengths, given.threads, given.repeat, given.seconds, given.limit, not given.no_memory)
    for peer in PEERS:
        if given.cases and peer.name not in given.cases:
            continue
        if not peer.native and os.environ.get(VARIABLE) != "off":
            yield from without_native(peer, given)
        else:
            yield from rows(peer, setting, effort, machine)


def without_native(peer: Peer, given: Any) -> Iterator[Row | Skipped]:
    """The rows of a case from a process in which our native kernels are off."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "rows.json"
        command = [sys.executable, "-m", "benchmarks.peers", *again(peer, given), f"--json={file}"]
        subprocess.run(command, env=os.environ | {VARIABLE: "off"}, stdout=subprocess.DEVNULL, check=True)
        found = json.loads(file.read_text(encoding="utf-8"))
    yield from (Row(**row) for row in found["rows"])
    yield from (Skipped(**one) for one in found["skipped"])


def again(peer: Peer, given: Any) -> list[str]:
    """The same command line for one case."""
    said = {name: value for name, value in vars(given).items() if name not in ("cases", "json") and value}
    words = [peer.name]
    for name, value in said.items():
        values = value if isinstance(value, list) else [] if value is True else [value]
        words += [f"--{name.replace('_', '-')}", *map(str, values)]
    return words


def main(arguments: list[str] | None = None) -> None:
    given = parsed(arguments)
    machine = roofline.measure(given.batch, given.width)
    about = {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "native": describe(),
        "batch": given.batch,
        "width": given.width,
        "roofline": machine.as_dict(),
    }
    print(f"batch {given.batch}, width {given.width}, float32; torch {torch.__version__}; {describe()}")
    print("one thread at best: " + ", ".join(f"{name} {value:g}" for name, value in machine.as_dict().items()))
    print(table.HEAD, flush=True)
    found: list[Row] = []
    missing: list[Skipped] = []
    for one in measured(given, machine):
        if isinstance(one, Row):
            found.append(one)
            print(table.line(one), flush=True)
        else:
            missing.append(one)
    if missing:
        print(table.skipped(missing))
    if given.json:
        all_ = {"machine": about, "rows": [r.as_dict() for r in found], "skipped": [s.as_dict() for s in missing]}
        given.json.write_text(json.dumps(all_, indent=1), encoding="utf-8")


if __name__ == "__main__":
    confine()
    main()
