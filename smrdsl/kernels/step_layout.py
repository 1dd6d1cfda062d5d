"""How what a native step reads lies in memory: matrices in panels of outputs, numbers of channels in blocks of them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

PANEL, BLOCK = 32, 16
"""Outputs in a panel of a matrix, channels in a block: as in step.h."""


def rounded(count: int, to: int) -> int:
    return -(-count // to) * to


def in_panels(weight: Tensor) -> Tensor:
    """(width, D) -> (panels, D, PANEL), zeros behind the last row."""
    padded = F.pad(weight.detach(), (0, 0, 0, -weight.shape[0] % PANEL))
    return padded.unflatten(0, (-1, PANEL)).mT


def in_blocks(x: Tensor) -> Tensor:
    """(..., channels, N) -> (..., blocks, N, BLOCK), zeros behind the last channel."""
    padded = F.pad(x.detach(), (0, 0, 0, -x.shape[-2] % BLOCK))
    return padded.unflatten(-2, (-1, BLOCK)).mT
