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


class _Pixels:
    """What stands in a pickle for an array: numpy's own would let the file say how memory is read."""

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Type, bool, bytes]) -> None:
        _, shape, kind, by_column, raw = state
        if kind.name not in ("u1", b"u1") or by_column:
            raise pickle.UnpicklingError(f"its pictures are {kind.name!r}, not bytes")
        self.values = np.frombuffer(raw, dtype=np.uint8).reshape(shape)


class _Type:
    """What stands in it for numpy's dtype."""

    def __init__(self, name: str | bytes, *unused: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        """Bytes have no order."""


class _Plain(pickle.Unpickler):
    """Reads numbers, texts, lists, dicts and arrays of bytes, and nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return codecs.encode
        if module == "numpy" and name in ("ndarray", "dtype"):
            return _Pixels if name == "ndarray" else _Type
        if module in MODULES and name == "_reconstruct":
            return lambda kind, shape, code: _Pixels()
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
    for read, ending in ((_binary, ".bin"), (_python, "")):
        if (root / f"test_batch{ending}").is_file():
            there = [f"{name}{ending}" for name in BATCHES if (root / f"{name}{ending}").is_file()]
            return read, there or [f"{BATCHES[0]}{ending}"], f"test_batch{ending}"
    raise DataError(f"{root}: neither test_batch.bin nor test_batch is in it (name cifar-10-batches-bin or -py)")


def _binary(path: Path) -> tuple[Array, Array]:
    """Records of a label and 3 x 1,024 bytes."""
    raw = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    if len(raw) == 0 or len(raw) % RECORD:
        raise DataError(
            f"{path}: {len(raw):,} bytes are no records of {RECORD:,}: the file is cut off or of another kind"
        )
    records = raw.reshape(-1, RECORD)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _python(path: Path) -> tuple[Array, Array]:
    """A dict of b"data" (n, 3072) and b"labels"."""
    try:
        found = _Plain(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        pictures, labels = found[b"data"].values, np.array(found[b"labels"], dtype=np.int64)
    except OSError:
        raise
    except Exception as error:  # a broken pickle has many ways to fail
        raise DataError(f"{path}: no batch of CIFAR-10: {error}") from None
    if pictures.shape != (len(labels), COLOURS * POINTS):
        raise DataError(f"{path}: the pictures are {pictures.shape}, not ({len(labels)}, {COLOURS * POINTS})")
    return pictures, labels


def _grey(pictures: Array) -> Array:
    """(n, 1024, 1) in 0..1."""
    planes = pictures.reshape(-1, COLOURS, POINTS).astype(np.float32)
    return (np.einsum("ncp,c->np", planes, GREY) / 255)[:, :, None].astype(np.float32)


DATASET = DataSet("cifar", "CIFAR-10 in grey from your folder, a point at a time: ten classes.", load,
                  path="the folder cifar-10-batches-bin or -py",
                  source="Krizhevsky 2009; Tay et al. 2021, Image")  # fmt: skip
