"""How a short filter and the core behind it compute as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from smrdsl.kernels import native_gated_bank, native_taps
from smrdsl.passes.layer import FusedLayer, Layers


class SmrIntoHost(FusedLayer):
    """(B, L, D) -> (B, L, D). State: the inputs before, and that of the core."""

    def together(self, layers: Layers, *streams: Tensor, rate: Any = None) -> Tensor | None:
        gate, core = layers
        front, bank, strategy = gate.short_filter(), core.bank(), core.strategy  # type: ignore[operator]
        found = native_gated_bank.run(front, bank, strategy, *streams, None, None, rate)  # type: ignore[arg-type]
        return None if found is None else found[0]

    def continue_together(
        self, layers: Layers, streams: Sequence[Tensor], states: Sequence[Tensor], *, rate: Any = None
    ) -> tuple[Tensor, ...] | None:
        gate, core = layers
        (u,), (before, x) = streams, states
        front, bank, strategy = gate.short_filter(), core.bank(), core.strategy  # type: ignore[operator]
        found = native_gated_bank.run(front, bank, strategy, u, before, x, rate)  # type: ignore[arg-type]
        return None if found is None else (found[0], native_taps.last(u, before), found[1])
