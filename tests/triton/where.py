"""Where the laws run: on a GPU where there is one, else on a CPU in Triton's interpreter, in tiles of a few times."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from smrdsl.kernels import native_bank, native_selective, triton_calls

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TILE = native_bank.TILE if DEVICE == "cuda" else 4


@pytest.fixture(autouse=True)
def triton(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every native kernel is Triton's, and counted."""
    if DEVICE == "cpu":
        from smrdsl.kernels import triton_common, triton_taps

        monkeypatch.setattr(triton_calls, "DEVICES", {"cpu"})
        monkeypatch.setattr(native_bank, "TILE", TILE)
        monkeypatch.setattr(native_selective, "TILE", TILE)
        monkeypatch.setattr(triton_common, "WIDTH", 4)
        monkeypatch.setattr(triton_taps, "TIMES", 4)


OVERFLOWS = pytest.mark.filterwarnings("ignore:.*(invalid value|overflow) encountered:RuntimeWarning")
"""The interpreter computes by numpy, which tells of what is not finite."""
HALF = 1 / 128
"""A step of bfloat16, which the interpreter cuts off where a GPU rounds."""


def normal(*shape: int, seed: int = 0) -> Tensor:
    """The same numbers on every device."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def close(found: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> None:
    """Relative to the largest number: gradients are sums in which single ones may cancel."""
    scale = wanted.abs().max().clamp(min=1e-30) if wanted.numel() else 1.0
    torch.testing.assert_close(found.double() / scale, wanted.double() / scale, rtol=tolerance, atol=tolerance)
