"""Peak memory of forward and backward, each in a process of its own: the most it held less that after a short run.

`python -m benchmarks.peers.memory` is that process; `peak` starts it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.peers.contract import TRAINING, Pair, Peer, Setting, quiet
from benchmarks.peers.options import add_sizes, confine, setting_of
from benchmarks.peers.works import work_of

SIDES = ("ours", "theirs")
SHORT = 64


def peak(peer: Peer, side: str, setting: Setting, length: int, seconds: float) -> float | None:
    """MiB that one side takes; None where it does not end in that time or has too little memory."""
    sizes = [f"--batch={setting.batch}", f"--width={setting.width}"]
    folders = [f"--{name}={folder}" for name, folder in setting.folders.items()]
    command = [sys.executable, "-m", "benchmarks.peers.memory", peer.name, side, str(length), *sizes, *folders]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return None
    return float(json.loads(done.stdout.splitlines()[-1]))


def high_water() -> float:
    """MiB that this process has held at most."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # elsewhere ru_maxrss is as good; on Linux a process starts with that of its parent
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def run_once(pair: Pair, side: str, setting: Setting, length: int) -> None:
    """Forward and backward of one side."""
    pair.plan(length, setting.batch, TRAINING)
    work_of(pair, side, setting, length, TRAINING)()


def main() -> None:
    from benchmarks.peers import PEERS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=[p.name for p in PEERS])
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("length", type=int)
    add_sizes(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    setting = setting_of(given)
    peer = next(p for p in PEERS if p.name == given.peer)
    with quiet():
        run_once(peer.make(setting, SHORT), given.side, setting, SHORT)
        pair = peer.make(setting, given.length)
    before = high_water()
    run_once(pair, given.side, setting, given.length)
    print(json.dumps(high_water() - before))


if __name__ == "__main__":
    confine()
    main()
