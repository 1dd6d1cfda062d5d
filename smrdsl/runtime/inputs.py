"""Inputs: what a model takes at run time, held against what its spec says, with mistakes told in the user's terms.

Shapes and kinds are always checked. Values (gaps above 0, lengths within the batch) are checked outside of compiled
graphs, where a look at the numbers would break the graph.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from smrdsl.graph.graph import Graph
from smrdsl.runtime.errors import InputError

State = dict[str, Tensor]
WHOLE = (torch.int64, torch.int32)


class Inputs:
    """The inputs of one model. Every method raises `InputError`."""

    def __init__(self, g: Graph) -> None:
        self._node = g.node(g.input)
        self._timed = g.timed
        self._uses_step = any(n.uses_step for _, n, _ in g)
        self._no_step = [n for _, n, _ in g if "ssm" in n.op.families and not n.uses_step]
        ahead = [n for _, n, _ in g if n.op.looks_ahead(n.params) and not n.op.structural]
        self._no_lengths = [n for n in ahead if not n.uses_lengths]
        self.minds_lengths = any(n.uses_lengths for _, n, _ in g)
        self._rows = self._node.type.rows
        self._state_keys = frozenset(f"{key}.{name}" for key in g.keys for name in g.state(key))

    def check(self, u: Tensor, *, sequence: bool) -> None:
        """Refuse an input of another shape or kind; what is no token is seen by who reads it."""
        node = self._node
        index = node.type.kind == "index"
        if isinstance(u, Tensor) and (u.dtype in WHOLE if index else u.is_floating_point()):
            width = index or u.shape[-1:] == node.type.dims[-1:]
            pair = not node.type.paired or (u.dim() > 1 and u.shape[1] == 2)
            if width and pair and u.dim() == len(self._axes(sequence)):
                return
        axes = self._axes(sequence)
        kind = "whole numbers, int64 or int32," if index else "reals"
        message = f"the input must be {kind} ({', '.join(axes)}), this is {found(u)}"
        raise InputError(f"{node.location}: {node.location.text}: {message}")

    def _axes(self, sequence: bool) -> list[str]:
        """The axes of an input, in words."""
        type_ = self._node.type
        channels = [] if type_.kind == "index" else [str(type_.width)]
        return ["batch", *["2"] * type_.paired, *["length"] * sequence, *channels]

    def _samples(self, u: Tensor) -> torch.Size:
        """The axes of an input up to its channels."""
        return u.shape if self._node.type.kind == "index" else u.shape[:-1]

    def rows(self, batch: int) -> int:
        """How many sequences a batch holds: two for each pair."""
        return self._rows * batch

    def clock(self, u: Tensor, dt: Tensor | None, rate: float | Tensor | None) -> dict[str, Any]:
        """What the cores are told about time, for an input."""
        if self._timed:
            shape = self._samples(u)
            if rate is not None:
                raise InputError("the model is timed: it takes dt, not rate")
            if not isinstance(dt, Tensor) or dt.shape != shape or not dt.is_floating_point():
                wanted = f"reals {tuple(shape)}, one gap for each sample"
                raise InputError(f"the model is timed: dt must be {wanted}, this is {found(dt)}")
            if may_look(dt) and not bool(((dt > 0) & dt.isfinite()).all()):
                raise InputError("every gap in dt must be above 0 and finite, time runs forwards (1 = as trained)")
            return {"dt": dt}
        if dt is not None:
            raise InputError("the model takes no dt; declare its input with timed=true, or pass rate")
        return {} if rate is None else {"rate": self._rate(rate)}

    def _rate(self, rate: float | Tensor) -> float | Tensor:
        if self._no_step:
            node = self._no_step[0]
            raise InputError(f"`{node.op.name}` at {node.location} has no step that a rate could scale")
        if not self._uses_step:
            raise InputError("the model has no core that a rate could apply to")
        if isinstance(rate, Tensor) and rate.dim() > 0:
            raise InputError(f"the rate must be one number, this is {found(rate)}; gaps are for timed models")
        number = isinstance(rate, int | float | Tensor) and not isinstance(rate, bool)
        if not number or (may_look(rate) and not 0 < rate < math.inf):
            raise InputError(f"the rate must be above 0 and finite, this is {rate}")
        return rate

    def lengths(self, u: Tensor, lengths: Tensor) -> Tensor:
        """How long each sequence of a padded batch is, for an input; on its device."""
        *batch, length = self._samples(u)
        if not isinstance(lengths, Tensor) or list(lengths.shape) != batch or lengths.dtype not in WHOLE:
            raise InputError(f"lengths must be whole numbers {tuple(batch)}, this is {found(lengths)}")
        if may_look(lengths) and not bool(((lengths >= 0) & (lengths <= length)).all()):
            raise InputError(f"lengths must be from 0 to {length}, the length of the batch")
        if self._no_lengths:
            node = self._no_lengths[0]
            raise InputError(f"`{node.op.name}` at {node.location} looks ahead and does not mind lengths")
        return lengths.to(u.device)

    def check_state(self, state: State, batch: int) -> None:
        """Refuse the state of another model or batch; this runs at each step, so it does no more."""
        if not isinstance(state, dict):
            kind = type(state).__name__
            raise InputError(f"the state is a {kind}; take it from `initial_state(batch_size)`")
        if state.keys() != self._state_keys:
            odd = min(state.keys() ^ self._state_keys)
            told = f"lacks {odd}" if odd in self._state_keys else f"holds {odd}"
            raise InputError(f"the state {told}: it belongs to another model")
        for key, tensor in state.items():
            if not isinstance(tensor, Tensor) or tensor.dim() == 0:
                raise InputError(f"the state {key} is no tensor with a batch axis")
            if tensor.shape[0] != self._rows * batch:
                raise InputError(f"the state is for {tensor.shape[0]} sequences, the input has {self._rows * batch}")


def found(value: object) -> str:
    """What was given, for a message."""
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)}"
    return "nothing" if value is None else f"a {type(value).__name__}"


def may_look(value: object) -> bool:
    """Whether the numbers may be looked at: not while a graph is being made, nor where there are none."""
    plain = not isinstance(value, Tensor) or (type(value) is Tensor and not value.is_meta)
    return plain and not torch.compiler.is_compiling()
