"""How sibling maps compute: one product for all of them, and a view of it for each."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.passes.layer import FusedLayer, Layers


class Siblings(FusedLayer):
    """(..., D) -> (..., width) for each."""

    def together(self, layers: Layers, *streams: Tensor, **told: Any) -> tuple[Tensor, ...] | None:
        """Not for a few positions: putting the weights together would take longer than using them."""
        (x,) = streams
        if x.numel() < x.shape[-1] ** 2:
            return None
        maps = [layer.channel_map() for layer in layers]  # type: ignore[operator]
        weight, bias = torch.cat([weight for weight, _ in maps]), None
        if any(b is not None for _, b in maps):
            bias = torch.cat([w.new_zeros(w.shape[0]) if b is None else b for w, b in maps])
        return F.linear(x, weight, bias).split([len(w) for w, _ in maps], -1)
