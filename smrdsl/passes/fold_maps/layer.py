"""How folded maps compute: as the one map that they are together, kept while their numbers stay the same."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.graph.graph import Fusion
from smrdsl.kernels.memo import Kept, Memo
from smrdsl.passes.layer import FusedLayer, Layers

Map = tuple[Tensor, Tensor | None]
"""A weight (out, in), or (D) of each channel, and a bias (out) or None."""


class Folded(FusedLayer):
    """(..., D) -> (..., width)."""

    def __init__(self, fusion: Fusion) -> None:
        super().__init__(fusion)
        self.memo: Memo[Map | None] = Memo()

    def together(self, layers: Layers, *streams: Tensor, **told: Any) -> Tensor | None:
        """Not while learning, nor for a few positions: comparing the weights would take as long as using them."""
        (x,) = streams
        if torch.is_grad_enabled() or x.numel() < x.shape[-1] ** 2:
            return None
        numbers = [n for layer in layers for n in (*layer.parameters(), *layer.buffers())]
        whole = self.memo(numbers, lambda kept: folded(layers, kept))
        if whole is None:
            return None
        weight, bias = whole
        if weight.dim() == 2:
            return F.linear(x, weight, bias)
        return x * weight if bias is None else torch.addcmul(bias, x, weight)


def folded(layers: Layers, kept: Kept | None = None) -> Map | None:
    """The map of all layers, in the precision of the first; None where one is no map just now."""
    maps = [layer.channel_map() for layer in layers]  # type: ignore[operator]
    if any(m is None for m in maps):
        return None
    (weight, bias), *later = [_wide(*m) for m in maps]
    for second, more in later:
        bias = more if bias is None else _apply(second, bias) if more is None else _apply(second, bias) + more
        weight = _apply(second, weight.T).T if second.dim() == 1 and weight.dim() == 2 else _product(second, weight)
    dtype = maps[0][0].dtype
    return weight.to(dtype), None if bias is None else bias.to(dtype)


def _wide(weight: Tensor, bias: Tensor | None) -> Map:
    return weight.double(), None if bias is None else bias.double()


def _apply(weight: Tensor, x: Tensor) -> Tensor:
    """A map of x (..., in) without its bias."""
    return x * weight if weight.dim() == 1 else F.linear(x, weight)


def _product(second: Tensor, first: Tensor) -> Tensor:
    """One weight behind another: second after first."""
    if second.dim() == 1 or first.dim() == 1:
        return second * first
    return second @ first
