"""Libraries that only some data sets need."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from smrdsl.data.contract import DataError


@contextlib.contextmanager
def needs(library: str, what: str) -> Iterator[None]:
    """Tell which extra brings a library that is not there."""
    try:
        yield
    except ImportError:
        raise DataError(f'{what} needs {library}: pip install "smrdsl[train]"') from None
