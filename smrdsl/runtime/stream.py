"""Stream: a model that is fed piece by piece and keeps its own state."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from smrdsl.kernels.memo import frozen
from smrdsl.runtime.decode import Decoder, can_decode, ordinary

if TYPE_CHECKING:
    from smrdsl.runtime.model import CompiledModel, State


class Stream:
    """Samples and chunks in the order of their time, in any mixture; `state` may be read, kept and put back.

    Nothing is recorded for a backward pass. A step compares the weights with those it has discretised, which takes
    about half of its time; `frozen` says that none changes while the stream runs: only the first call looks at them.
    Then samples in float32 on a CPU run natively where they can, in buffers that lie ready (`decode.py`).
    """

    def __init__(self, model: CompiledModel, batch_size: int = 1, *, frozen: bool = False) -> None:
        self.model = model
        self._state: State = model.initial_state(batch_size)
        self._frozen = frozen
        self._started = False
        self._able: bool | None = None  # whether the model is one for a decoder, once that is known
        self._decoder: Decoder | None = None
        self._inside = False  # whether it is the decoder that holds the state

    @property
    def state(self) -> State:
        """The state after all samples so far."""
        if self._inside:
            assert self._decoder is not None
            self._state, self._inside = self._decoder.get(), False
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state, self._inside = state, False

    def __call__(self, u: Tensor, dt: Tensor | None = None, *, rate: float | Tensor | None = None) -> Tensor:
        """The output for one sample (batch, channels) or a chunk (batch, length, channels)."""
        if self._inside and dt is None and rate is None and self._decoder is not None and self._decoder.takes(u):
            return self._decoder(u)
        return self._feed(u, dt, rate)

    @torch.no_grad()
    def _feed(self, u: Tensor, dt: Tensor | None, rate: float | Tensor | None) -> Tensor:
        type_ = self.model.graph.node(self.model.graph.input).type
        sample = not isinstance(u, Tensor) or u.dim() != len(type_.dims) + type_.paired
        if self._frozen and sample and dt is None and rate is None:
            self.model._inputs.check(u, sequence=False)
            if u.dtype is torch.int32:
                return self(u.long())
            if self._ready(u):
                assert self._decoder is not None
                return self._decoder(u)
        with frozen() if self._frozen and self._started else nullcontext():
            y = self._advance(u, sample, dt, rate)
        self._started = True
        return y

    def _advance(self, u: Tensor, sample: bool, dt: Tensor | None, rate: float | Tensor | None) -> Tensor:
        if sample:
            y, self.state = self.model.step(u, self.state, dt, rate=rate)
        else:
            y, self.state = self.model(u, dt, state=self.state, return_state=True, rate=rate)
        return y

    def _ready(self, u: Tensor) -> bool:
        """Whether there is a decoder for this sample, and it has the state."""
        if self._able is None:
            self._able = can_decode(self.model)
        batch, state = u.shape[0], self.state
        self.model._inputs.check_state(state, batch)
        if not (self._able and batch and ordinary()):
            return False
        decoder = self._decoder
        if decoder is None or decoder.batch != batch or decoder.training is not self.model.training:
            decoder = self._decoder = Decoder(self.model, batch)
        self._inside = decoder.takes(u) and decoder.put(state)
        return self._inside

    def __getstate__(self) -> dict[str, Any]:
        """A copy writes its program anew: that holds addresses."""
        return {**self.__dict__, "_state": self.state, "_decoder": None, "_inside": False}
