"""Arrays from a file that numpy.savez writes, read as numbers: a file that claims more than it holds gets no memory."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np

from smrdsl.data.contract import Array, DataError

SINGLE = b"\x93NUMPY"
"""How a file begins that numpy.save wrote."""


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a file by name. Nothing in it is run. Raises `OSError` and `DataError`."""
    with path.open("rb") as opened:
        if opened.read(len(SINGLE)) == SINGLE:
            raise DataError(f"{path} holds one array without a name; write it with numpy.savez(path, u=...)")
        try:
            with zipfile.ZipFile(opened) as file:
                return {member.filename.removesuffix(".npy"): _read(file, member) for member in file.infolist()}
        except Exception as error:  # a broken archive has many ways to fail
            raise DataError(f"{path} is no file that numpy.savez writes: {error}") from None


def _read(file: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    with file.open(member) as opened:
        version = np.lib.format.read_magic(opened)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(opened)
        claimed, there = math.prod(shape) * dtype.itemsize, member.file_size - opened.tell()
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds objects, not numbers")
    if claimed != there:
        raise ValueError(f"{member.filename} claims {claimed:,} bytes, and has {there:,}")
    with file.open(member) as opened:
        return np.lib.format.read_array(opened, allow_pickle=False)
