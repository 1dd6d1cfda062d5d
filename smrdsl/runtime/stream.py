"""Stream: a model that is fed piece by piece and keeps its own state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from smrdsl.runtime.model import CompiledModel, State


class Stream:
    """Samples and chunks in the order of their time, in any mixture; `state` may be read, kept and put back.

    Nothing is recorded for a backward pass.
    """

    def __init__(self, model: CompiledModel, batch_size: int = 1) -> None:
        self.model = model
        self.state: State = model.initial_state(batch_size)

    @torch.no_grad()
    def __call__(self, u: Tensor, dt: Tensor | None = None, *, rate: float | Tensor | None = None) -> Tensor:
        """The output for one sample (batch, channels) or a chunk (batch, length, channels)."""
        type_ = self.model.graph.node(self.model.graph.input).type
        if u.dim() == len(type_.dims) + type_.paired:
            y, self.state = self.model(u, dt, state=self.state, return_state=True, rate=rate)
        else:
            y, self.state = self.model.step(u, self.state, dt, rate=rate)
        return y
