"""Recurrences over chunks whose number may be a symbol, as in a graph that is exported for any length.

No loop can then run over the chunks, so they are joined in a fixed number of passes, each over twice the distance; see
`any_length.py`, which does the same for systems whose powers are known.
"""

from __future__ import annotations

import torch
from torch import Tensor

from smrdsl.kernels.any_length import BITS, known


def carry(a: Tensor, x: Tensor, h: Tensor, log: int) -> tuple[Tensor, Tensor]:
    """The states before each of M chunks (B, M, ...), and the one after the last.

    A chunk of 2^log times multiplies the state by a (B, M, ...) and adds x (B, M, ...) to it; h (B, ...) is the first.
    """
    if known(x.shape[1]):
        states = [h]
        for a_m, x_m in zip(a.unbind(1), x.unbind(1), strict=True):
            states.append(torch.addcmul(x_m, a_m, states[-1]))
        return torch.stack(states[:-1], 1), states[-1]
    # Nothing is sliced off: one chunk fewer might be one, or none, and a graph would be bound to that.
    place = torch.arange(x.shape[1], device=x.device)
    start = (place == 0).view(-1, *[1] * (x.dim() - 2))
    x = torch.where(start, torch.addcmul(x, a, h.unsqueeze(1)), x)
    after = joined(torch.where(start, 0.0, a), x, place, log)
    return torch.where(start, h.unsqueeze(1), after[:, (place - 1).clamp(min=0)]), after[:, -1]


def joined(a: Tensor, x: Tensor, place: Tensor, log: int) -> Tensor:
    """x_m + a_m x_{m-1} + a_m a_{m-1} x_{m-2} + ... for every place m; a_0 is 0, as nothing comes before the first."""
    for k in range(BITS - log):
        earlier = (place - (1 << k)).clamp(min=0)
        x = torch.addcmul(x, a, x[:, earlier])
        a = a * a[:, earlier]
    return x


def first(x: Tensor, length: int) -> Tensor:
    """The first times of x (B, T, ...), by index where their number is a symbol: a slice would ask what is longer."""
    return x[:, :length] if known(length) else x[:, torch.arange(length, device=x.device)]
