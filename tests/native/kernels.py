"""What the tests of native kernels share: the levels that this machine runs, and closeness."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from smrdsl import native

needs_library = pytest.mark.skipif(not native.available(), reason=native.describe())


def at_level(level: str, monkeypatch: pytest.MonkeyPatch) -> native.Library:
    """The library at another level; skips where this machine does not run it."""
    monkeypatch.setenv(native.VARIABLE, level)
    try:
        return native.load(native.HERE)
    except native.Missing as missing:
        pytest.skip(str(missing))


def close(found: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> None:
    """Relative to the largest number: gradients are sums in which single ones may cancel."""
    scale = wanted.abs().max().clamp(min=1e-30)
    torch.testing.assert_close(found.double() / scale, wanted.double() / scale, rtol=tolerance, atol=tolerance)
