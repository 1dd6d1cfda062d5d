"""cifar: pictures of CIFAR-10 in grey, a point at a time; the Image task of the Long Range Arena.

Read from the published folders (Krizhevsky 2009): cifar-10-batches-bin (binary) or cifar-10-batches-py, whose pickles
are read as plain data: what names any other thing is refused. Grey is 0.2989 R + 0.5870 G + 0.1140 B, from 0 to 1; a
tenth of the training pictures is held out to choose by.
"""

from __future__ import annotations

import codecs
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from smrdsl.data.contract import Array, Data, DataError, DataSet, Options, Part, Request, need

POINTS, COLOURS, CLASSES = 1024, 3, 10
RECORD = 1 + COLOURS * POINTS
GREY = np.array([0.2989, 0.5870, 0.1140], dtype=np.float32)
BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")


class _Plain(pickle.Unpickler):
    """Reads numbers, texts, lists, dicts and arrays of numbers, and nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return codecs.encode
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if module in MODULES and name == "_reconstruct":
            return np.zeros(0).__reduce__()[0]
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def load(options: Options, request: Request) -> Data:
    if request.length is not None and request.length < POINTS:
        raise DataError(f"the pictures have {POINTS} points: say length={POINTS} in the spec or with --length")
    root = need(request, "folder")
    read, names, test = _reader(root)
    parts = [read(root / name) for name in names]
    pictures, labels = (np.concatenate(x) for x in zip(*parts, strict=True))
    whole = Part(_grey(pictures), labels)
    held_pictures, held_labels = read(root / test)
    order, held = np.random.default_rng(0).permutation(len(whole)), max(1, len(whole) // 10)
    final = Part(_grey(held_pictures), held_labels)
    return Data("cifar", whole.take(order[held:]), whole.take(order[:held]), final, classes=CLASSES)


def _reader(root: Path) -> Any:
    """How the files of a folder are read, and their names."""
    if (root / "test_batch.bin").is_file():
        return (
            _binary,
            [f"{b}.bin" for b in BATCHES if (root / f"{b}.bin").is_file()] or ["data_batch_1.bin"],
            "test_batch.bin",
        )
    if (root / "test_batch").is_file():
        return _python, [b for b in BATCHES if (root / b).is_file()] or ["data_batch_1"], "test_batch"
    raise DataError(f"{root}: neither test_batch.bin nor test_batch is in it (name cifar-10-batches-bin or -py)")


def _binary(path: Path) -> tuple[Array, Array]:
    """Records of a label and 3 x 1,024 bytes."""
    raw = np.frombuffer(_bytes(path), dtype=np.uint8)
    if len(raw) == 0 or len(raw) % RECORD:
        raise DataError(
            f"{path}: {len(raw):,} bytes are no records of {RECORD:,}: the file is cut off or of another kind"
        )
    records = raw.reshape(-1, RECORD)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _python(path: Path) -> tuple[Array, Array]:
    """A dict of b"data" (n, 3072) and b"labels"."""
    try:
        found = _Plain(io.BytesIO(_bytes(path)), encoding="bytes").load()
        pictures, labels = np.asarray(found[b"data"]), np.asarray(found[b"labels"], dtype=np.int64)
    except Exception as error:
        raise DataError(f"{path}: no batch of CIFAR-10: {error}") from None
    if pictures.dtype != np.uint8 or pictures.shape != (len(labels), COLOURS * POINTS):
        raise DataError(f"{path}: the pictures are {pictures.dtype} {pictures.shape}, not bytes ({len(labels)}, 3072)")
    return pictures, labels


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None


def _grey(pictures: Array) -> Array:
    """(n, 1024, 1) in 0..1."""
    planes = pictures.reshape(-1, COLOURS, POINTS).astype(np.float32)
    return (np.einsum("ncp,c->np", planes, GREY) / 255)[:, :, None].astype(np.float32)


DATASET = DataSet("cifar", "CIFAR-10 in grey from your folder, a point at a time: ten classes.", load,
                  path="the folder cifar-10-batches-bin or -py",
                  source="Krizhevsky 2009; Tay et al. 2021, Image")  # fmt: skip
