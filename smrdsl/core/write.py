"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from smrdsl.core.errors import Diagnostic, SpecError


def write_whole(path: Path, data: bytes) -> None:
    """Write a file through a temporary one beside it; one that is replaced keeps its mode. Raises OSError."""
    target = path.resolve()  # a link stays a link
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def check_folder(path: Path, ours: Callable[[Path], bool]) -> None:
    """Raise `SpecError` (E0604) unless a folder may stand there: a new one, an empty one, or one that is `ours`."""
    if os.path.lexists(path) and not (path.is_dir() and (ours(path) or not any(path.iterdir()))):
        why = "is there already and is not what was written so before" if path.is_dir() else "is a file, not a folder"
        raise SpecError([Diagnostic("E0604", f"{path} {why}; name another folder", file=str(path))])


@contextlib.contextmanager
def whole_folder(path: Path, ours: Callable[[Path], bool]) -> Iterator[Path]:
    """A folder to fill, which stands at `path` once that went well; until then, what was there stays.

    It replaces what `check_folder` lets it. Raises `SpecError` (E0604) where it cannot be written.
    """
    try:
        check_folder(path, ours)
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            (place / "new").mkdir()
            yield place / "new"
            _exchange(place / "new", target, place / "old")
        finally:
            if not (place / "old").exists() or target.exists():  # never what could not be brought back
                shutil.rmtree(place, ignore_errors=True)
    except OSError as error:
        message = f"cannot write {path}: {error.strerror or error}"
        raise SpecError([Diagnostic("E0604", message, file=str(path))]) from None


def _exchange(new: Path, target: Path, old: Path) -> None:
    """Let `new` stand at the target, and what stands there at `old`."""
    with contextlib.suppress(FileNotFoundError):
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
