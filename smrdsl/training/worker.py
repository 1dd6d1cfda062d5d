"""One process of several: `python -m smrdsl.training.worker FOLDER`, started by `launch.py`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from smrdsl.core.errors import SmrError
from smrdsl.training.job import Job, Stopped, prepare
from smrdsl.training.launch import ERROR, FAILED, LOST, STOPPED

PEERS = (
    "Connection closed by peer",
    "Connection reset",
    "Broken pipe",
    "Timed out waiting",
    "gloo",
    "NCCL",
    "TCPStore",
)
"""What torch says when the others are gone."""


def main(folder: Path) -> int:
    """Do a process's part; the reason of a failure is left in a file."""
    rank = int(os.environ["RANK"])
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is something to keep, Ctrl-C ends it without a word
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        _work(Job.model_validate_json((folder / "job.json").read_text(encoding="utf-8")), rank)
        return 0
    except Stopped as error:
        code, why = STOPPED, str(error)
    except SmrError as error:
        code, why = FAILED, str(error)
    except Exception as error:
        first = str(error).partition("\n")[0]
        lost = any(sign in str(error) for sign in PEERS)
        code, why = (LOST if lost else 3), f"{type(error).__name__}: {first}"
        if os.environ.get("SMRDSL_DEBUG"):
            raise
    (folder / ERROR.format(rank=rank)).write_text(why, encoding="utf-8")
    return code


def _work(job: Job, rank: int) -> None:
    from smrdsl.runtime.package import load_package
    from smrdsl.training.run import run

    assert job.package is not None
    model = load_package(job.package, "train")
    run(model, prepare(model.graph, job), rank)


def _end_with(parent: int) -> None:
    """End when the launcher is gone: nobody would end us."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(LOST)


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stderr.flush()
    os._exit(code)  # past the farewells of a process group whose peers may be gone
