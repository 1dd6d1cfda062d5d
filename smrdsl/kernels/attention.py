"""Parts of attention: rotations, relative positions, and windows at a cost of length times window.

Axes: B batch, L queries, S keys, H query heads, G key and value heads (G divides H), d channels of a head.
Heads come after time here, (B, L, H, d), as the projections leave them.
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

    Channels i and i + d / 2 are a pair, turned by the angle position * 10000^(-2 i / d), as in Llama; the
    paper pairs neighbours, which is the same up to the order of channels. Source: Su et al. 2021,
    "RoFormer", eq. 34.
    """
    exact = torch.promote_types(x.dtype, torch.float32)
    half = x.shape[-1] // 2
    pairs = torch.arange(half, device=x.device, dtype=exact)
    angles = positions[..., None, None].to(exact) * ROTARY_BASE ** (-pairs / half)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x.split(half, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


def distance_buckets(buckets: int, farthest: int = 128) -> list[int]:
    """T5's bucket of each distance 0 .. farthest: one each in the first half, then logarithmic.

    Whole numbers decide, so that no rounding of a logarithm moves a boundary.
    Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning", section 2.1.
    """
    near = buckets // 2
    far = buckets - near
    rows = list(range(near))
    step = 0
    for distance in range(near, farthest + 1):
        # the next bucket starts where distance / near >= (farthest / near)^((step + 1) / far)
        while step + 1 < far and distance**far * near ** (step + 1) >= farthest ** (step + 1) * near**far:
            step += 1
        rows.append(near + step)
    return rows


def relative_bias(table: Tensor, rows: list[int], back: int, ahead: int, causal: bool) -> Tensor:
    """T5's bias of the keys from `back` positions before a query to `ahead` after it, (H, back + 1 + ahead).

    `table` is (buckets, H), `rows` the bucket of each distance. Not causal: the second half counts the keys
    ahead.
    """
    offsets = torch.arange(-back, ahead + 1, device=table.device)
    row = torch.tensor(rows, device=table.device)[offsets.abs().clamp(max=len(rows) - 1)]
    return table[row if causal else row + table.shape[0] // 2 * (offsets > 0)].t()


def toeplitz(bias: Tensor, queries: int) -> Tensor:
    """Per offset (H, queries + S - 1) -> (H, queries, S): each query's row starts one offset earlier.

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
    bias: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Each query sees the keys from `before` positions before it to `after` after it, and no others.

    q (B, L, H, d); k, v (B, before + L, G, d), those of the past first, of which the last `seen` (B) are
    there (none where it is not given); bias (H, before + 1 + after) by offset. Queries are cut into blocks
    that share a stretch of keys, so the cost is L * (before + after + block).
    """
    batch, length = q.shape[:2]
    if length == 0:
        return q
    block = min(BLOCK, max(before + after, 16))
    blocks = (length + block - 1) // block
    if torch.compiler.is_exporting():  # a symbolic number of blocks must not be able to be one
        blocks = length // block + 2
    surplus = blocks * block - length
    stretch = before + block + after

    def cut(x: Tensor, fill: int, size: int) -> Tensor:
        """(B, ..., heads, d) -> (B * blocks, size, heads, d), overlapping where size is above block."""
        padded = F.pad(x, (0, 0, 0, 0, 0, fill))
        return padded.unfold(1, size, block).movedim(-1, 2).flatten(0, 1)

    mask = window_mask(length, blocks, block, before, after, seen, q.device)
    mask = mask.expand(batch, -1, -1, -1).flatten(0, 1)[:, None]
    if bias is not None:
        mask = toeplitz(F.pad(bias, (block - 1, block - 1)), block).masked_fill(~mask, -torch.inf)
    keys, values = cut(k, surplus + after, stretch), cut(v, surplus + after, stretch)
    y = attend(cut(q, surplus, block), keys, values, mask, dropout)
    return y.reshape(batch, blocks * block, *q.shape[2:])[:, :length]


def attend_last(
    q: Tensor, k: Tensor, v: Tensor, seen: Tensor, bias: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    """The same for one query at the end of a window: q (B, 1, H, d), k and v (B, before + 1, G, d)."""
    before = k.shape[1] - 1
    mask = (torch.arange(before + 1, device=q.device) >= before - seen[:, None])[:, None, None]
    if bias is not None:
        mask = bias[:, None].masked_fill(~mask, -torch.inf)
    return attend(q, k, v, mask, dropout)


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
