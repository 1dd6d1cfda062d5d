"""How a tree of pointwise operations computes: its layers run on lazy streams (`kernels/lazy.py`)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from smrdsl.kernels.lazy import Lazy, lazy, made
from smrdsl.passes.layer import FusedLayer, Layers


class Chain(FusedLayer):
    """(..., D) -> (..., D), by the layers' own `forward`s: a dropout that is active is done when it is reached."""

    def together(self, layers: Layers, *streams: Tensor, **told: Any) -> Tensor | None:
        unmade = [lazy(x) for x in streams]
        if not any(isinstance(x, Lazy) for x in unmade):
            return None
        return made(self._apart("forward", layers, unmade, (), told)[0])
