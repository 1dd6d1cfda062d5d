"""Several processes for one training on this machine: started, watched, and ended together.

The first that fails ends the others within seconds, and its reason is what is told: a process that merely lost the
others is not taken for the cause. Needs no torch itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from smrdsl.core.errors import SmrError
from smrdsl.training.job import Job, Stopped

FAILED, LOST, STOPPED = 1, 75, 130
"""What a process ends with: a mistake, a peer that went away, a stop that was asked for."""
GRACE = 5.0
"""Seconds between a friendly request to end and the other kind."""
POLL = 0.05
ERROR = "error{rank}.txt"


def launch(job: Job) -> None:
    """Run the processes of a job to their end. Raises `SmrError` with the reason of the first that failed."""
    with tempfile.TemporaryDirectory(prefix="smrdsl-train-") as place:
        told = Path(place)
        (told / "job.json").write_text(job.model_dump_json(), encoding="utf-8")
        processes = _start(job.settings.devices, told)
        try:
            with _passed_on(processes):
                failed = _watch(processes)
        finally:
            _end(processes)
        if failed is not None:
            raise _reason(failed, processes[failed].returncode, told)


def _start(world: int, told: Path) -> list[subprocess.Popen[bytes]]:
    port, cores = _free_port(), os.cpu_count() or 1
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(world),
        "NODE_RANK": "0",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores // world))),
    }
    command = [sys.executable, "-m", "smrdsl.training.worker", str(told)]
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # of a process too, until it knows what to do then
    try:
        return [
            subprocess.Popen(
                command,
                env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.DEVNULL,
                stderr=None if rank == 0 else subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is ours to pass on
            )
            for rank in range(world)
        ]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _watch(processes: list[subprocess.Popen[bytes]]) -> int | None:
    """Wait for all to end; the number of the one that is to blame, if one failed."""
    while True:
        codes = [p.poll() for p in processes]
        if any(codes):
            break
        if all(code == 0 for code in codes):
            return None
        time.sleep(POLL)
    if all(code in (None, 0, LOST) for code in codes):  # who lost it may be quicker than who is lost
        time.sleep(1.0)
        codes = [p.poll() for p in processes]
    failed = [rank for rank, code in enumerate(codes) if code]
    return min(failed, key=lambda rank: codes[rank] == LOST)


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for stop in ("terminate", "kill"):
        for process in processes:
            if process.poll() is None:
                getattr(process, stop)()
        until = time.monotonic() + GRACE
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))


@contextlib.contextmanager
def _passed_on(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Ctrl-C reaches the processes once, so that they stop with a checkpoint; the second time they are ended."""
    asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)

    try:
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread, which gets no signals
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reason(rank: int, code: int, told: Path) -> SmrError:
    file = told / ERROR.format(rank=rank)
    why = file.read_text(encoding="utf-8") if file.exists() else ""
    if code in (STOPPED, -signal.SIGINT):  # the latter before there was a step
        return Stopped(why or "stopped")
    if code == LOST:
        why = f"it lost the others ({why})"
    elif code < 0:
        why = f"it was ended by {signal.Signals(-code).name}"
    return SmrError(f"process {rank} of the training: {why or f'it ended with {code}'}; the others were stopped")
