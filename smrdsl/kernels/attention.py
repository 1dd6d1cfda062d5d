"""Parts of attention: rotations, relative positions, and attention in a window at a cost of length times window.

Axes: B batch, L queries, S keys, H query heads, G key and value heads (G divides H), d channels of a head. Heads come
after time here, (B, L, H, d), as the projections leave them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ROTARY_BASE = 10_000.0
BLOCK = 128
"""Most queries that share a block of keys in a window."""


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Rotary position embedding: x (B, L, H, d), positions (L) or (B, L).

    Channels i and i + d / 2 are a pair, turned by the angle position * 10000^(-2 i / d), as in Llama; the paper pairs
    neighbours, which is the same up to the order of channels. Source: Su et al. 2021, "RoFormer", eq. 34.
    """
    exact = torch.promote_types(x.dtype, torch.float32)
    half = x.shape[-1] // 2
    pairs = torch.arange(half, device=x.device, dtype=exact)
    angles = positions[..., None, None].to(exact) * ROTARY_BASE ** (-pairs / half)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x.split(half, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


def bucket(distance: int, buckets: int, farthest: int) -> int:
    """T5's bucket of a distance >= 0: the first half one each, then logarithmic up to `farthest`, all beyond in the last.

    Whole numbers decide, so that no rounding of a logarithm moves a boundary.
    Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning", section 2.1.
    """
    exact = buckets // 2
    if distance < exact:
        return distance
    wide = buckets - exact
    step = 1
    # distance / exact >= (farthest / exact)^(step / wide), both sides to the power `wide`
    while step < wide and distance**wide * exact**step >= farthest**step * exact**wide:
        step += 1
    return exact + step - 1


def relative_bias(
    table: Tensor, back: int, ahead: int, causal: bool, farthest: int = 128
) -> Tensor:
    """T5's bias of the keys from `back` positions before a query to `ahead` after it, (H, back + 1 + ahead).

    `table` is (buckets, H). Causal: all buckets count backwards; else half of them each way, the second for keys ahead.
    """
    buckets = table.shape[0] if causal else table.shape[0] // 2
    reach = [bucket(distance, buckets, farthest) for distance in range(farthest + 1)]
    index = torch.tensor(reach, device=table.device)
    offsets = torch.arange(-back, ahead + 1, device=table.device)
    rows = index[offsets.abs().clamp(max=farthest)]
    return table[rows if causal else rows + buckets * (offsets > 0)].t()


def toeplitz(bias: Tensor, queries: int) -> Tensor:
    """Per offset (H, queries + S - 1) -> (H, queries, S): the row of each query starts one offset before the last's.

    Laid end to end and cut one element shorter than they are long, copies of a row slip by one each time.
    """
    count = bias.shape[1]
    laid = F.pad(bias, (0, 1)).repeat(1, queries)
    rows = laid[:, queries - 1 : queries - 1 + queries * count].unflatten(1, (queries, count))
    return rows[:, :, : count - queries + 1]


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float, causal: bool = False) -> Tensor:
    """Softmax attention: q (B, L, H, d), k and v (B, S, G, d) -> (B, L, H, d); mask as torch's."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    grouped = k.shape[1] != q.shape[1]
    y = F.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal=causal, enable_gqa=grouped)
    return y.transpose(1, 2)


def attend_window(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    before: int,
    after: int,
    seen: Tensor | None = None,
    table: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Each query sees the keys from `before` positions before it to `after` after it, and no others.

    q (B, L, H, d); k, v (B, before + L, G, d), those of the past first, of which the last `seen` (B) are there (none
    where it is not given). `table` holds T5's buckets. Queries are cut into blocks that share a stretch of keys, so
    the cost is L * (before + after + block).
    """
    batch, length = q.shape[:2]
    if length == 0:
        return q
    block = 1 if length == 1 else min(BLOCK, max(before + after, 16))
    blocks = (length + block - 1) // block
    surplus = blocks * block - length
    span = before + block + after

    def stretches(x: Tensor) -> Tensor:
        padded = F.pad(x, (0, 0, 0, 0, 0, after + surplus))
        return padded.unfold(1, span, block).movedim(-1, 2).contiguous().flatten(0, 1)

    q = F.pad(q, (0, 0, 0, 0, 0, surplus)).unflatten(1, (blocks, block)).flatten(0, 1)
    mask = window_mask(length, blocks, block, before, after, seen, q.device)
    mask = mask.expand(batch, -1, -1, -1).contiguous().flatten(0, 1)[:, None]
    if table is not None:
        bias = relative_bias(table, before + block - 1, block + after - 1, causal=after == 0)
        mask = toeplitz(bias, block).masked_fill(~mask, -torch.inf)
    y = attend(q, stretches(k), stretches(v), mask, dropout)
    return y.contiguous().unflatten(0, (batch, blocks)).flatten(1, 2)[:, :length]


def window_mask(
    length: int,
    blocks: int,
    block: int,
    before: int,
    after: int,
    seen: Tensor | None,
    device: torch.device,
) -> Tensor:
    """Which keys of its stretch a query sees, (B or 1, blocks, block, span).

    It always sees the one at its own place: no row may be empty, even one that only fills up the last block.
    """
    query = torch.arange(block, device=device)[:, None]
    key = torch.arange(before + block + after, device=device)
    near = (key >= query) & (key <= query + before + after)
    place = torch.arange(blocks, device=device)[:, None] * block + key
    first = before if seen is None else before - seen[:, None, None]
    exists = (place >= first) & (place < before + length)
    own = key == query + before
    return near & (exists.view(-1, blocks, 1, key.shape[0]) | own)
