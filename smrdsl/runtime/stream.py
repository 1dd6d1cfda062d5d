"""Stream: a model that is fed piece by piece and keeps its own state."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from smrdsl.kernels.memo import frozen

if TYPE_CHECKING:
    from smrdsl.runtime.model import CompiledModel, State


class Stream:
    """Samples and chunks in the order of their time, in any mixture; `state` may be read, kept and put back.

    Nothing is recorded for a backward pass. A step compares the weights with those it has discretised, which takes
    about half of its time; `frozen` says that none changes while the stream runs: only the first call looks at them.
    """

    def __init__(self, model: CompiledModel, batch_size: int = 1, *, frozen: bool = False) -> None:
        self.model = model
        self.state: State = model.initial_state(batch_size)
        self._frozen = frozen
        self._started = False

    @torch.no_grad()
    def __call__(self, u: Tensor, dt: Tensor | None = None, *, rate: float | Tensor | None = None) -> Tensor:
        """The output for one sample (batch, channels) or a chunk (batch, length, channels)."""
        with frozen() if self._frozen and self._started else nullcontext():
            y = self._advance(u, dt, rate)
        self._started = True
        return y

    def _advance(self, u: Tensor, dt: Tensor | None, rate: float | Tensor | None) -> Tensor:
        type_ = self.model.graph.node(self.model.graph.input).type
        if u.dim() == len(type_.dims) + type_.paired:
            y, self.state = self.model(u, dt, state=self.state, return_state=True, rate=rate)
        else:
            y, self.state = self.model.step(u, self.state, dt, rate=rate)
        return y
