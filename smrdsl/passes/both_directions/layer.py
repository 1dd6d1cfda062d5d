"""How a core runs backwards, alone or beside one that runs ahead."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from smrdsl.kernels import directions
from smrdsl.passes.layer import FusedLayer, Layers


class Backwards(FusedLayer):
    """(B, L, D) -> (B, L, D): a reversal, a core, a reversal."""

    def together(
        self, layers: Layers, *streams: Tensor, rate: Any = None, lengths: Tensor | None = None
    ) -> Tensor | None:
        core: Any = layers[1]
        (u,) = streams
        return None if lengths is not None else directions.backwards(core.bank(), core.strategy, u, rate)


class Both(FusedLayer):
    """(B, L, D) -> (B, L, D) of the core ahead, and of the core that runs backwards."""

    def together(
        self, layers: Layers, *streams: Tensor, rate: Any = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, ...] | None:
        cores: tuple[Any, Any] = (layers[0], layers[2])
        (u,) = streams
        return None if lengths is not None else directions.both(cores[0].bank(), cores[1].bank(), u, rate)
