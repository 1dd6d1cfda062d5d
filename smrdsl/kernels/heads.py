"""A scan over heads, each with a matrix for a state and one number that decays it at every time.

    h_t = exp(a_t) h_{t-1} + v_t b_t^T        y_t = h_t c_t

For a head, v_t has P numbers; for each of G groups of heads, b_t and c_t have N: head i reads group i // (H / G). The
a_t are not above 0. In a chunk of T times, with S_t = a_1 + .. + a_t and the state s before it,

    y_t = sum_{j <= t} exp(S_t - S_j) (c_t . b_j) v_j + exp(S_t) s c_t
    s'  = exp(S_T) s + sum_j exp(S_T - S_j) v_j b_j^T

are products of matrices (Dao and Gu 2024, "Transformers are SSMs", section 6), for many chunks at once, and one short
loop carries the state across chunks. Every exponent is a sum of some a_t, so no power overflows; sums are taken in wide
precision, since a long pause makes S large while the differences that count stay small.

Axes: B batch, L length, M chunks, H heads.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels.any_length import known
from smrdsl.kernels.doubling import carry, first
from smrdsl.kernels.powers import wide

LOG = 6
"""log2 of the size of a chunk."""
SEGMENT = 1 << 18
"""Elements of the (T, T) weights that are worked on at once on a CPU: what fits in its cache."""

Run = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(v, a, b, c, h before) -> (y, h after): `advance`, `recur` or `scan`."""


def advance(v: Tensor, a: Tensor, b: Tensor, c: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """v (B, H, P), a (B, H), b and c (B, G, N), h (B, H, P, N) -> y (B, H, P) and h."""
    groups = b.shape[1]
    new = v.unflatten(1, (groups, -1)).unsqueeze(4) * b[:, :, None, None]
    h = torch.addcmul(new.flatten(1, 2), torch.exp(a)[:, :, None, None], h)
    y = h.unflatten(1, (groups, -1)).flatten(2, 3) @ c.unsqueeze(3)
    return y.view_as(v), h


def recur(v: Tensor, a: Tensor, b: Tensor, c: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """v (B, L, H, P), a (B, L, H), b and c (B, L, G, N), L > 0 -> y (B, L, H, P) and h."""
    outputs = []
    for v_t, a_t, b_t, c_t in zip(v.unbind(1), a.unbind(1), b.unbind(1), c.unbind(1), strict=True):
        y, h = advance(v_t, a_t, b_t, c_t, h)
        outputs.append(y)
    return torch.stack(outputs, 1), h


def scan(v: Tensor, a: Tensor, b: Tensor, c: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """As `recur`, in chunks; the length may be a symbol."""
    length = segment(v)
    if length is None:
        return in_chunks(v, a, b, c, h)
    outputs = []
    segments = (x.split(length, 1) for x in (v, a, b, c))
    for v_s, a_s, b_s, c_s in zip(*segments, strict=True):
        y, h = in_chunks(v_s, a_s, b_s, c_s, h)
        outputs.append(y)
    return torch.cat(outputs, 1), h


def segment(v: Tensor) -> int | None:
    """How many times of v (B, L, H, P) are worked on at once, whole chunks; None for all of them."""
    batch, length, heads, _ = v.shape
    if v.device.type != "cpu" or torch.compiler.is_compiling() or not known(length):
        return None
    return max(1, SEGMENT // (batch * heads << 2 * LOG)) << LOG


def in_chunks(v: Tensor, a: Tensor, b: Tensor, c: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """As `recur`, for all chunks at once."""
    length = v.shape[1]
    size = min(length, 1 << LOG) if known(length) else 1 << LOG
    # Symbols: one chunk more than needed, since a number of chunks that may be 1 would be taken for 1.
    chunks = -(-length // size) if known(length) else (length >> LOG) + 2
    # Padding adds nothing to the sums and has no input, so that it keeps the state.
    v, b, c = (cut(x, chunks, size) for x in (v, b, c))
    sums = wide(cut(a.unsqueeze(3), chunks, size).squeeze(4).transpose(2, 3)).cumsum(3)
    b, c = b.transpose(2, 3), c.transpose(2, 3)

    across = torch.exp(sums[..., -1]).to(v.dtype)[..., None, None]
    before, after = carry(across, left_over(v, sums, b), h, LOG)
    y = inside(v, sums, b, c) + from_before(before, sums, c)
    return first(y.transpose(2, 3).flatten(1, 2), length), after


def cut(x: Tensor, chunks: int, size: int) -> Tensor:
    """(B, L, n, m) -> (B, M, T, n, m), zeros at the end."""
    return F.pad(x, (0, 0, 0, 0, 0, chunks * size - x.shape[1])).unflatten(1, (chunks, size))


def left_over(v: Tensor, sums: Tensor, b: Tensor) -> Tensor:
    """sum_j exp(S_T - S_j) v_j b_j^T of each chunk, (B, M, H, P, N); a product for each group, not each head."""
    groups, width = b.shape[2], v.shape[4]
    rest = torch.exp(sums[..., -1:] - sums).to(v.dtype)
    weighted = (v * rest.transpose(2, 3).unsqueeze(4)).unflatten(3, (groups, -1)).flatten(4)
    return (weighted.permute(0, 1, 3, 4, 2) @ b).unflatten(3, (-1, width)).flatten(2, 3)


def inside(v: Tensor, sums: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """sum_{j <= t} exp(S_t - S_j) (c_t . b_j) v_j, (B, M, H, T, P)"""
    size, groups = v.shape[2], b.shape[2]
    past = torch.ones(size, size, dtype=torch.bool, device=v.device).tril()
    decays = (sums.unsqueeze(4) - sums.unsqueeze(3)).to(v.dtype)
    # Masked before the exponential, which would overflow above the diagonal and leave NaN in gradients.
    decays = torch.exp(torch.where(past, decays, -torch.inf))
    weights = decays.unflatten(2, (groups, -1)) * (c @ b.mT).unsqueeze(3)
    return weights.flatten(2, 3) @ v.transpose(2, 3)


def from_before(before: Tensor, sums: Tensor, c: Tensor) -> Tensor:
    """exp(S_t) s c_t, (B, M, H, T, P)"""
    groups, width = c.shape[2], before.shape[3]
    y = c @ before.unflatten(2, (groups, -1)).flatten(3, 4).mT
    y = y.unflatten(4, (-1, width)).transpose(3, 4).flatten(2, 3)
    return y * torch.exp(sums).to(y.dtype).unsqueeze(4)
