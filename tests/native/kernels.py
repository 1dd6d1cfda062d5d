"""What the tests of native kernels share: the levels that this machine runs, and closeness."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from smrdsl import native
from smrdsl.kernels import lazy, native_pointwise

needs_library = pytest.mark.skipif(not native.available(), reason=native.describe())


def at_level(level: str, monkeypatch: pytest.MonkeyPatch) -> native.Library:
    """The library at another level; skips where this machine does not run it."""
    monkeypatch.setenv(native.VARIABLE, level)
    try:
        return native.load(native.HERE)
    except native.Missing as missing:
        pytest.skip(str(missing))


def noted_programs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pointwise programs that run from now on, on streams of any size."""
    found: list[str] = []

    def noting(streams: list[Tensor], program: str) -> Tensor:
        found.append(program)
        return native_pointwise.run(streams, program)

    monkeypatch.setattr(lazy, "run", noting)
    monkeypatch.setattr(native_pointwise, "LEAST", 1)
    return found


def close(found: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> None:
    """Relative to the largest number: gradients are sums in which single ones may cancel."""
    scale = wanted.abs().max().clamp(min=1e-30)
    torch.testing.assert_close(found.double() / scale, wanted.double() / scale, rtol=tolerance, atol=tolerance)
