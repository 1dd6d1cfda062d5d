"""How one or two short filters and an activation compute as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from smrdsl.kernels import native_pair, native_taps
from smrdsl.kernels.native_taps import ShortFilter
from smrdsl.passes.layer import FusedLayer, Layers


class ShortFilters(FusedLayer):
    """(B, L, D) -> (B, L, D). State: the inputs before each filter."""

    def together(self, layers: Layers, *streams: Tensor, **told: Any) -> Tensor | None:
        (x,), filters = streams, self._filters(layers)
        if not all(f.fits(x) for f in filters):
            return None
        return native_pair.run(filters[0], filters[1], x) if len(filters) > 1 else filters[0].run(x, None)

    def continue_together(
        self, layers: Layers, streams: Sequence[Tensor], states: Sequence[Tensor], **told: Any
    ) -> tuple[Tensor, ...] | None:
        """Not for two: what stands between them is the state of the second."""
        (x,), filters = streams, self._filters(layers)
        if len(filters) > 1 or not filters[0].fits(x, *states):
            return None
        return filters[0].run(x, states[0]), native_taps.last(x, states[0])

    def _filters(self, layers: Layers) -> list[ShortFilter]:
        found: list[ShortFilter] = []
        for held, layer in zip(self.fusion.holds, layers, strict=True):
            act = held.node.op.ends_filter(held.node.params)
            if act:
                found[-1] = replace(found[-1], act=act)
            else:
                found.append(layer.short_filter())  # type: ignore[operator]
        return found
