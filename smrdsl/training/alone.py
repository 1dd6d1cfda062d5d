"""One training at a time in a folder, and what is told when it cannot be written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from smrdsl.core.errors import SmrError
from smrdsl.training.job import CHECKPOINTS, LAST


@contextlib.contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keep other trainings out of a folder, which is made; the system lets go of it however this process ends.

    Raises `SmrError` where another is at work there, or the folder cannot be written.
    """
    with written(out):
        (out / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    handle = os.open(out / CHECKPOINTS, os.O_RDONLY)
    try:
        _lock(handle, out)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, out: Path) -> None:
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SmrError(
            f"{out}: another process is training there: wait for it, or name another folder (--out)"
        ) from None
    except (ImportError, OSError):  # a system without locks
        pass


@contextlib.contextmanager
def written(out: Path) -> Iterator[None]:
    """Tell what could not be written, and what is left, as an `SmrError`."""
    try:
        yield
    except ConnectionError:
        raise
    except OSError as error:
        last = out / CHECKPOINTS / LAST
        left = f"; {last} is whole, and --resume goes on from it" if last.exists() else ""
        raise SmrError(f"cannot write {error.filename or out}: {error.strerror or error}{left}") from None
