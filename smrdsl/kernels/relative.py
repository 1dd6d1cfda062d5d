"""Relative positions: the rotation of queries and keys, and the biases that scores gain by offset.

A bias depends on the offset, key minus query, alone. So it comes as one number for each head and offset, from `back`
positions before a query to `ahead` after it, (H, back + 1 + ahead), and `toeplitz` lays it out for queries and keys.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels.powers import wide

ROTARY_BASE = 10_000.0


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


def rotary_bias(alpha: Tensor, beta: Tensor, back: int, ahead: int) -> Tensor:
    """<rot_i alpha, rot_j beta> of Mega by the offset j - i: alpha, beta (H, d) -> (H, back + 1 + ahead).

    As complex pairs this is Re(conj(alpha) beta e^(i (j - i) theta)), with the angles theta of `rotate`: only the
    difference of the positions is left, so no position is ever needed. Source: Ma et al. 2022, "Mega"; its code.
    """
    half = alpha.shape[1] // 2
    offsets = wide(torch.arange(-back, ahead + 1, device=alpha.device))
    angles = offsets * ROTARY_BASE ** (-wide(torch.arange(half, device=alpha.device)) / half)[:, None]
    (a, b), (c, d) = alpha.split(half, dim=1), beta.split(half, dim=1)
    return (a * c + b * d) @ angles.cos().to(alpha.dtype) - (a * d - b * c) @ angles.sin().to(alpha.dtype)


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


def bucket_bias(table: Tensor, rows: list[int], back: int, ahead: int, causal: bool) -> Tensor:
    """T5's: `table` (buckets, H), `rows` the bucket of each distance -> (H, back + 1 + ahead).

    Not causal: the second half of the table is for the keys ahead.
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
