"""text: the bytes of any files, to say the next one. Without a path: the source of Python's standard library.

Of several files every one goes into one part as a whole, by its name; a single file is cut in three.
"""

from __future__ import annotations

import sysconfig
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pydantic import Field

from smrdsl.data.baselines import compressed, ngram
from smrdsl.data.contract import PARTS, Array, Data, DataError, DataSet, Options, Request, need
from smrdsl.data.splits import cuts, next_tokens

LENGTH = 256
BYTES = 256
SHARES = (0.9, 0.05, 0.05)
BUCKETS = 20


class TextOptions(Options):
    limit: int = Field(default=0, ge=0, description="At most so many bytes of every file are read; 0 is all of them.")


def load(options: TextOptions, request: Request) -> Data:
    length = request.length or LENGTH
    root = need(request, "file or folder") if request.path else Path(sysconfig.get_path("stdlib"))
    files = _files(root, "*.py" if request.path is None else "")
    streams = _one(files[0], options) if len(files) == 1 else _many(root, files, options)
    train, valid, test = (next_tokens(streams[name], length, f"{root}: the part to {name} on") for name in PARTS)
    return Data("text", train, valid, test, vocab=BYTES, baselines=(compressed, ngram))


def _files(root: Path, pattern: str) -> list[Path]:
    """A file itself, or what is in a folder: everything below it that does not start with a dot."""
    if root.is_file():
        return [root]
    below = root.glob(pattern) if pattern else root.rglob("*")
    files = sorted(p for p in below if p.is_file() and not any(x.startswith(".") for x in p.relative_to(root).parts))
    if not files:
        raise DataError(f"{root}: there is no file in it")
    return files


def _read(path: Path, options: TextOptions) -> Array:
    with path.open("rb") as file:
        return np.frombuffer(file.read(options.limit or -1), dtype=np.uint8)


def _one(path: Path, options: TextOptions) -> dict[str, Array]:
    stream = _read(path, options)
    if not len(stream):
        raise DataError(f"{path}: the file is empty")
    first, second = cuts(len(stream), SHARES)
    return dict(zip(PARTS, np.split(stream, [first, second]), strict=True))


def _many(root: Path, files: Iterable[Path], options: TextOptions) -> dict[str, Array]:
    """Files by a hash of their names, so that a part stays what it is when others come."""
    kept: dict[str, list[Array]] = {name: [] for name in PARTS}
    for path in files:
        bucket = zlib.crc32(path.relative_to(root).as_posix().encode()) % BUCKETS
        kept["test" if bucket == 0 else "valid" if bucket == 1 else "train"].append(_read(path, options))
    none = np.zeros(0, dtype=np.uint8)
    return {name: np.concatenate([none, *parts]) for name, parts in kept.items()}


DATASET = DataSet("text", "The bytes of files, Python's own source by default: the next byte.", load, TextOptions,
                  path="a file or a folder?")  # fmt: skip
