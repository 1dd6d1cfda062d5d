"""A selective scan: a bank of diagonal systems whose steps, inputs and readings are new at every time.

    h_t = exp(s_t A) h_{t-1} + v_t b_t        y_t = c_t . h_t

Each of D channels has a row of A with N numbers and steps s and weighted inputs v of its own; b and c, N numbers each,
are shared by the channels. No way to run it takes a power of A, and `scan` never holds the states of all times.

    advance        one time
    recur          a sequence, one time after the other
    scan           a sequence by `selective_tiles`, or, in a graph that is exported, by `any_length`
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels import selective_tiles
from smrdsl.kernels.doubling import carry, first

LOG = 4
"""log2 of the length of the chunks of `any_length`."""

Run = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(v, s, A, b, c, h before) -> (y, h after): `advance`, `recur` or `scan`."""


def advance(v: Tensor, s: Tensor, a: Tensor, b: Tensor, c: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """v and s (B, D), a (D, N), b and c (B, N), h (B, D, N) -> y (B, D) and h."""
    h = following(v.unsqueeze(2), s.unsqueeze(2), a, b.unsqueeze(1), h)
    return (h @ c.unsqueeze(2)).squeeze(2), h


def following(v: Tensor, s: Tensor, a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """The state (B, D, N) after h, for v and s (B, D, 1) and b (B, 1, N)."""
    return torch.addcmul(v * b, torch.exp(s * a), h)


def recur(v: Tensor, s: Tensor, a: Tensor, b: Tensor, c: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """v and s (B, L, D), b and c (B, L, N), L > 0 -> y (B, L, D) and h."""
    outputs = []
    for v_t, s_t, b_t, c_t in zip(v.unbind(1), s.unbind(1), b.unbind(1), c.unbind(1), strict=True):
        y, h = advance(v_t, s_t, a, b_t, c_t, h)
        outputs.append(y)
    return torch.stack(outputs, 1), h


def scan(v: Tensor, s: Tensor, a: Tensor, b: Tensor, c: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """As `recur`, in tiles; where only torch's own operators may stand, of those."""
    if torch.compiler.is_exporting():
        return any_length(v, s, a, b, c, h)  # an exported graph runs without this package
    if torch._C._are_functorch_transforms_active():
        return recur(v, s, a, b, c, h)  # torch.func has no rules for ours
    return selective_tiles.scan(v, s, a, b, c, h)


def any_length(v: Tensor, s: Tensor, a: Tensor, b: Tensor, c: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """As `recur`, for a length that may be a symbol: chunks of one size side by side, and no loop over their number.

    They run twice, from zero for what each leaves by itself, then from the states before them for the outputs.
    """
    length, size = v.shape[1], 1 << LOG
    # One more than needed: a symbol that may be 1 would be taken for 1. A step and an input of 0 keep the state.
    chunks = (length >> LOG) + 2
    whole = [F.pad(x, (0, 0, 0, chunks * size - length)).unflatten(1, (chunks, size)) for x in (v, s, b, c)]
    # What is the same for all times is done before they are taken apart, since a graph has room for every time.
    flat = [x.flatten(0, 1).unsqueeze(axis) for x, axis in zip(whole, (3, 3, 2, 3), strict=True)]
    times = list(zip(*(x.unbind(1) for x in flat), strict=True))

    left = v.new_zeros(()).expand(v.shape[0] * chunks, *a.shape)
    for v_t, s_t, b_t, _ in times:
        left = following(v_t, s_t, a, b_t, left)
    across = torch.exp(whole[1].sum(2).unsqueeze(3) * a)
    before, after = carry(across, left.unflatten(0, (-1, chunks)), h, LOG)

    state, outputs = before.flatten(0, 1), []
    for v_t, s_t, b_t, c_t in times:
        state = following(v_t, s_t, a, b_t, state)
        outputs.append(state @ c_t)
    y = torch.cat(outputs, 2).mT.unflatten(0, (-1, chunks)).flatten(1, 2)
    return first(y, length), after
