"""How merged systems compute: as one bank."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from smrdsl.graph.graph import Fusion
from smrdsl.kernels import merged
from smrdsl.passes.layer import FusedLayer, Layers


class Merged(FusedLayer):
    """(B, L, D) -> (B, L, D)."""

    def __init__(self, fusion: Fusion) -> None:
        super().__init__(fusion)
        nodes = [held.node for held in fusion.holds]
        self.cores = [i for i, node in enumerate(nodes) if node.op.steady_bank(node.params)]

    def together(self, layers: Layers, *streams: Tensor, rate: Any = None, dt: Any = None) -> Tensor | None:
        if dt is not None:
            return None
        cores: list[Any] = [layers[i] for i in self.cores]
        (u,) = streams
        return merged.forward([core.bank() for core in cores], cores[0].strategy, u, rate)
