"""Attention: over all positions, in a window at a cost of length times window, or within chunks.

Which keys a query sees is a matter of where they stand, how much of each it takes is told by `Weights`. In padded
batches, of which `lengths` (B) counts the valid positions, what is valid sees what is valid; the rest sees anything,
for no row of a softmax may be empty.

Axes: B batch, L queries, S keys, H query heads, G key and value heads (G divides H), d channels of a head of queries
and keys, e of a head of values. Heads come after time here, (B, L, H, d), as projections leave them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels.lengths import valid
from smrdsl.kernels.relative import toeplitz

BLOCK = 128
"""Most queries that share a block of keys in a window, and fewest in a row of blocks."""
MOST_ROWS = 16
LAPLACE_MEAN = 0.707107
LAPLACE_STD = 0.282095


@dataclass(frozen=True)
class Weights:
    """What a query takes of each of the n keys that it sees.

    act      softmax: softmax(q . k / sqrt(d) + bias);  laplace, relu2: act(q . k / n + bias), of Mega
    bias     from how many positions before a query to how many after it -> by offset, as in `relative.py`, or None
    dropout  the probability that a weight is dropped
    """

    bias: Callable[[int, int], Tensor | None]
    act: str = "softmax"
    dropout: float = 0.0


def attend(
    q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None, bias: Tensor | None, weights: Weights, causal: bool = False
) -> Tensor:
    """q (B, L, H, d), k (B, S, G, d), v (B, S, G, e) -> (B, L, H, e).

    seen (B or 1, L, S) are booleans, None where all keys are seen or, `causal`, those up to the query's own place, the
    queries being those of the last keys; bias (H, L, S) is added to the scores.
    """
    length, keys = q.shape[1], k.shape[1]
    causal = causal and length > 1
    if causal and not fused(weights, bias, keys == length):
        seen, causal = torch.ones(1, length, keys, dtype=torch.bool, device=q.device).tril(keys - length), False
    if seen is not None:
        seen = seen[:, None]
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    if weights.act != "softmax":
        return _each_by_itself(q, k, v, seen, bias, weights).transpose(1, 2)
    if bias is None or seen is None:
        mask = seen if bias is None else bias
    else:
        mask = bias.masked_fill(~seen, -torch.inf)
    grouped = k.shape[1] != q.shape[1]
    y = F.scaled_dot_product_attention(q, k, v, mask, weights.dropout, is_causal=causal, enable_gqa=grouped)
    return y.transpose(1, 2)


def fused(weights: Weights, bias: Tensor | None, square: bool) -> bool:
    """Whether torch has a kernel that leaves out what is not seen by itself."""
    return weights.act == "softmax" and bias is None and square


def _each_by_itself(
    q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None, bias: Tensor | None, weights: Weights
) -> Tensor:
    """Weights that do not compete, act(q . k / n + bias): heads before time here.

    Nearly all the time goes into passes over the (L, S) scores. So constants are put into what is smaller, and passes
    work in place where the backward pass does not need what was there.
    """
    n = k.shape[2] if seen is None else seen.sum(-1, keepdim=True)
    mean, scale, act = ELEMENTWISE[weights.act]
    scores = (q * scale / n) @ k.transpose(-1, -2)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if bias is not None or mean:
        scores += -mean * scale if bias is None else (bias - mean) * scale
    taken = act(scores)
    if seen is not None:
        taken.masked_fill_(~seen, 0.0)
    return F.dropout(taken, weights.dropout).to(v.dtype) @ v


def _half_erf(x: Tensor) -> Tensor:
    return torch.erf(x).mul_(0.5).add_(0.5)


def _square_of_positive(x: Tensor) -> Tensor:
    return F.relu(x).square()


ELEMENTWISE: dict[str, tuple[float, float, Callable[[Tensor], Tensor]]] = {
    "laplace": (LAPLACE_MEAN, 1 / (LAPLACE_STD * math.sqrt(2.0)), _half_erf),
    "relu2": (0.0, 1.0, _square_of_positive),
}
"""act(s) = f((s - mean) * scale) as mean, scale, f."""


def attend_full(
    q: Tensor, k: Tensor, v: Tensor, causal: bool, weights: Weights, lengths: Tensor | None = None
) -> Tensor:
    """Each query sees all keys, or, `causal`, those up to its own place.

    q (B, L, H, d), k (B, S, G, d), v (B, S, G, e), S >= L: the queries are those of the last keys. Long causal
    sequences are cut into a few rows of blocks, which leaves out most of what is not seen.
    """
    length, keys = q.shape[1], k.shape[1]
    if length == 0:
        return q.new_empty(*q.shape[:3], v.shape[3])
    bias = weights.bias(keys - 1, length - 1)
    if not causal or fused(weights, bias, keys == length) or traced() or length <= BLOCK:
        seen = None if causal or lengths is None else both_valid(valid(lengths, length))
        return attend(q, k, v, seen, None if bias is None else toeplitz(bias, length), weights, causal)

    def rows(first: int, last: int) -> Tensor:
        end, size = keys - length + last, last - first
        own = None if bias is None else toeplitz(bias[:, keys - end : keys - 1 + size], size)
        return attend(q[:, first:last], k[:, :end], v[:, :end], None, own, weights, causal)

    size = max(BLOCK, -(-length // MOST_ROWS))
    return torch.cat([rows(first, min(first + size, length)) for first in range(0, length, size)], dim=1)


def attend_chunks(
    q: Tensor, k: Tensor, v: Tensor, chunk: int, causal: bool, weights: Weights, lengths: Tensor | None = None
) -> Tensor:
    """The same within each chunk of the sequence, the last of which may be shorter; q, k and v are of one length."""
    batch, length, heads, _ = q.shape
    if reaches(chunk, length):
        return attend_full(q, k, v, causal, weights, lengths)
    chunks = blocks_of(length, chunk)
    surplus = chunks * chunk - length

    def cut(x: Tensor) -> Tensor:
        """(B, L, heads, d) -> (B * chunks, chunk, heads, d)."""
        return F.pad(x, (0, 0, 0, 0, 0, surplus)).reshape(batch * chunks, chunk, *x.shape[2:])

    bias = weights.bias(chunk - 1, chunk - 1)
    if bias is not None:
        bias = toeplitz(bias, chunk)
    seen = None
    if not causal and (lengths is not None or chunks * chunk != length):
        ends = torch.full((1,), length, device=q.device) if lengths is None else lengths
        there = valid(ends, chunks * chunk).expand(batch, -1).reshape(batch * chunks, chunk)
        seen = both_valid(there)
    y = attend(cut(q), cut(k), cut(v), seen, bias, weights, causal)
    return y.reshape(batch, chunks * chunk, heads, v.shape[3])[:, :length]


def attend_window(
    q: Tensor, k: Tensor, v: Tensor, before: int, after: int, weights: Weights, lengths: Tensor | None = None
) -> Tensor:
    """Each query sees the keys from `before` positions before its own to `after` after it; as many keys as queries."""
    causal = after == 0
    if reaches(before + 1 if causal else min(before, after) + 1, q.shape[1]):
        return attend_full(q, k, v, causal, weights, lengths)
    back = torch.arange(q.shape[1], device=q.device)[None].clamp(max=before)
    past = (0, 0, 0, 0, before, 0)
    return attend_reach(q, F.pad(k, past), F.pad(v, past), back, before, after, weights, lengths)


def attend_reach(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    back: Tensor,
    before: int,
    after: int,
    weights: Weights,
    lengths: Tensor | None = None,
) -> Tensor:
    """Each query sees the keys from `back` (B or 1, L) positions before its own, `before` at most, to `after` after it.

    q (B, L, H, d); k (B, before + L, G, d), v (B, before + L, G, e), those of the past first. Queries are cut into
    blocks that share a stretch of keys, so the cost is L * (before + after + block).
    """
    batch, length, heads, _ = q.shape
    if length == 0:
        return q.new_empty(*q.shape[:3], v.shape[3])
    block = min(BLOCK, max(before + after, 16))
    block = block if traced() else min(block, length)
    blocks = blocks_of(length, block)
    surplus = blocks * block - length
    stretch = before + block + after

    def cut(x: Tensor, fill: int, size: int) -> Tensor:
        """(B, ..., heads, d) -> (B * blocks, size, heads, d), overlapping where size is above block."""
        padded = F.pad(x, (0, 0, 0, 0, 0, fill))
        return padded.unfold(1, size, block).movedim(-1, 2).flatten(0, 1)

    ends = torch.full((1,), length, device=q.device) if lengths is None else lengths
    seen = window_mask(F.pad(back, (0, surplus)), ends, block, before, after)
    seen = seen.expand(batch, -1, -1, -1).flatten(0, 1)
    bias = weights.bias(before, after)
    if bias is not None:
        bias = toeplitz(F.pad(bias, (block - 1, block - 1)), block)
    keys, values = cut(k, surplus + after, stretch), cut(v, surplus + after, stretch)
    y = attend(cut(q, surplus, block), keys, values, seen, bias, weights)
    return y.reshape(batch, blocks * block, heads, v.shape[3])[:, :length]


def attend_last(q: Tensor, k: Tensor, v: Tensor, back: Tensor, weights: Weights) -> Tensor:
    """The same for one query at the end of a window: q (B, 1, H, d), k and v of before + 1 positions, back (B)."""
    before = k.shape[1] - 1
    seen = (torch.arange(before + 1, device=q.device) >= before - back[:, None])[:, None]
    bias = weights.bias(before, 0)
    return attend(q, k, v, seen, None if bias is None else bias[:, None], weights)


def window_mask(back: Tensor, ends: Tensor, block: int, before: int, after: int) -> Tensor:
    """Which keys of its stretch a query sees, (B or 1, blocks, block, before + block + after).

    back (B or 1, blocks * block) as above, ends (B or 1) the number of valid queries. A query always sees the key at
    its own place: no row may be empty, even one that only fills up the last block.
    """
    back = back.unflatten(1, (-1, block))
    key = torch.arange(before + block + after, device=back.device)
    offset = key - before - torch.arange(block, device=back.device)[:, None]
    near = (offset <= after) & (offset >= -back[..., None])
    if after:
        place = torch.arange(back.shape[1], device=back.device)[:, None] * block + key - before
        near = near & (place < ends[:, None, None])[:, :, None]
    return near | (offset == 0)


def both_valid(there: Tensor) -> Tensor:
    """Which keys each query sees, of (B, L) positions that are there or not -> (B, L, L)."""
    return there[:, None] | ~there[:, :, None]


def traced() -> bool:
    """Whether the length may be a symbol: what depends on it more than its size does is then left alone."""
    return torch.compiler.is_compiling() or torch.compiler.is_exporting()


def reaches(size: int, length: int) -> bool:
    """Whether a chunk or window is as long as the sequence, and so none. A graph exported for any length cannot ask."""
    return not torch.compiler.is_exporting() and length <= size


def blocks_of(length: int, block: int) -> int:
    """How many blocks hold the length: where exported, never one, for a symbol that may be 1 would be taken for 1."""
    return length // block + 2 if torch.compiler.is_exporting() else (length + block - 1) // block
