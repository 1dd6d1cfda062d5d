"""The options that the harness and its processes share."""

from __future__ import annotations

import argparse
import resource
from pathlib import Path
from typing import Any

from benchmarks.peers.contract import Setting

FOLDERS = {
    "s4": "checkout of state-spaces/s4",
    "mega": "checkout of facebookresearch/mega",
    "mamba-minimal": "checkout of johnma2006/mamba-minimal",
}
SHARE = 0.75
"""Of the memory that is free: a peer that wants more fails, and nothing else on the machine does."""


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """The size of the job, and where the peers lie that are in no package."""
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    for name, help_ in FOLDERS.items():
        parser.add_argument(f"--{name}", metavar="FOLDER", type=Path, help=help_)


def setting_of(given: Any) -> Setting:
    """What was said with these options."""
    folders = {name: getattr(given, name.replace("-", "_")) for name in FOLDERS}
    return Setting(given.batch, given.width, {name: f.resolve() for name, f in folders.items() if f is not None})


def confine() -> None:
    """Let this process have no more memory than a share of what is free."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return
    free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    resource.setrlimit(resource.RLIMIT_AS, (int(free * 1024 * SHARE), resource.RLIM_INFINITY))
