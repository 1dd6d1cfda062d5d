"""What took long to make, kept in the user's cache folder, or in the one that SMRDSL_CACHE names.

A file is written whole or not at all, and is found by all that it was made from; one that cannot be read is made anew.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from smrdsl.core.write import write_whole
from smrdsl.data.arrays import read_arrays
from smrdsl.data.contract import Array, DataError

VARIABLE = "SMRDSL_CACHE"


def folder() -> Path:
    """Where it is kept."""
    named = os.environ.get(VARIABLE)
    return (Path(named) if named else user_cache_path("smrdsl", appauthor=False)) / "data"


def cached(name: str, made_from: Mapping[str, Any], make: Callable[[], dict[str, Array]]) -> dict[str, Array]:
    """The arrays that `make` makes, of an earlier run where there was one. `made_from` is what JSON can hold."""
    text = json.dumps(dict(made_from), sort_keys=True)
    path = folder() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"
    try:
        return read_arrays(path)
    except (OSError, DataError):
        pass
    arrays = make()
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, out.getvalue())
    except OSError:  # a cache that cannot be written only costs time
        pass
    return arrays
