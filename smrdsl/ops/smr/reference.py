"""`smr` from its equations: responses, gate kernel and gate, one time after the other."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from smrdsl.ops.smr.layer import Smr

Past = Callable[[int, int], Tensor]
"""(t, age) -> the input (B, D) at that age, seen from sample t."""

GATES = {
    "sigmoid2": lambda p: 2 / (1 + torch.exp(-p)),
    "tanh1": lambda p: 1 + torch.tanh(p),
    "sigmoid": lambda p: 1 / (1 + torch.exp(-p)),
    "tanh": torch.tanh,
    "silu": lambda p: p / (1 + torch.exp(-p)),
    "identity": lambda p: p,
}


def reference(layer: Smr, u: Tensor, *, rate: float = 1.0, dt: Tensor | None = None) -> Tensor:
    gaps = rate * (torch.ones_like(u[..., 0]) if dt is None else dt)
    past = at_ages(u, gaps, layer.past) if layer.steps else by_samples(u)
    outputs = []
    for t in range(u.shape[1]):
        p = torch.zeros_like(u[:, 0])
        for j in range(layer.m.shape[1]):
            if layer.w is None:
                p = p + layer.m[:, j] * past(t, j)
                continue
            for k in range(layer.w.shape[1]):
                p = p + layer.w[:, k] * layer.m[:, j] * past(t, j + k)
        if layer.M is not None:
            p = p @ layer.M.t()
        outputs.append(u[:, t] * GATES[layer.gate](p if layer.b is None else p + layer.b))
    return torch.stack(outputs, dim=1)


def by_samples(u: Tensor) -> Past:
    """The input so many samples before sample t."""
    return lambda t, age: u[:, t - age] if age <= t else torch.zeros_like(u[:, 0])


def at_ages(u: Tensor, gaps: Tensor, remembered: int) -> Past:
    """The input so many steps before sample t: on the line between the two samples around that time.

    One gap before the first sample the input was 0, and it was ever before; what is not remembered any more was what
    the oldest of those remembered is.
    """

    def one(b: int, t: int, age: int) -> Tensor:
        later, seen = torch.zeros((), dtype=u.dtype), u[b, t]
        for i in range(1, remembered + 1):
            gap, earlier = gaps[b, t - i + 1], u[b, t - i] if i <= t else torch.zeros_like(seen)
            if i > t + 1 or later + gap >= age:
                return earlier if i > t + 1 else seen + (age - later) / gap * (earlier - seen)
            later, seen = later + gap, earlier
        return seen

    return lambda t, age: torch.stack([one(b, t, age) if age else u[b, t] for b in range(u.shape[0])])
