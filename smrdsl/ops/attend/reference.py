"""`attend` from its equations: one query and one head after the other, over the positions that it sees."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from smrdsl.ops.attend import AttendParams, table_length
from smrdsl.ops.attend.layer import Attend
from smrdsl.ops.attention.reference import t5_bucket


def reference(layer: Attend, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    heads = layer.p.heads
    z, d = q.shape[2] // heads, v.shape[2] // heads
    outputs = []
    for t in range(q.shape[1]):
        sums = []
        for h in range(heads):
            of_q, of_v = slice(h * z, (h + 1) * z), slice(h * d, (h + 1) * d)
            seen = visible(layer.p, t, q.shape[1])
            scores = torch.stack([(q[:, t, of_q] * k[:, s, of_q]).sum(1) for s in seen], 1)
            weights = weigh(layer.p.act, scores, torch.stack([gain(layer, t, s, h) for s in seen]), z)
            sums.append((weights[:, :, None] * torch.stack([v[:, s, of_v] for s in seen], 1)).sum(1))
        outputs.append(torch.cat(sums, 1))
    return torch.stack(outputs, 1)


def visible(p: AttendParams, t: int, length: int) -> range:
    first, last = 0, length - 1
    if p.chunk is not None:
        first = t // p.chunk * p.chunk
        last = min(last, first + p.chunk - 1)
    if p.window is not None:
        before = p.window - 1 if p.causal else (p.window - 1) // 2
        first, last = max(0, t - before), min(last, t - before + p.window - 1)
    return range(first, min(last, t) + 1) if p.causal else range(first, last + 1)


def weigh(act: str, scores: Tensor, bias: Tensor, channels: int) -> Tensor:
    """(B, n) dot products and (n) biases -> (B, n) weights."""
    if act == "softmax":
        return torch.softmax(scores / math.sqrt(channels) + bias, 1)
    scores = scores / scores.shape[1] + bias
    if act == "laplace":
        return (1 + torch.erf((scores - 0.707107) / (0.282095 * math.sqrt(2)))) / 2
    return torch.where(scores > 0, scores, 0) ** 2


def gain(layer: Attend, t: int, s: int, head: int) -> Tensor:
    """What the score of query t and key s gains."""
    p = layer.p
    if p.bias == "simple":
        return layer.rel_pos_bias.reshape(p.heads, -1)[head, table_length(p) - 1 + s - t]
    if p.bias == "rotary":
        alpha, beta = (x.reshape(p.heads, -1)[head] for x in (layer.rel_alpha, layer.rel_beta))
        return turned(alpha, t) @ turned(beta, s)
    if p.bias == "t5":
        return layer.rel_bias[t5_bucket(s - t, p.buckets, p.max_distance, p.causal), head]
    return torch.zeros((), dtype=torch.float64)


def turned(x: Tensor, position: int) -> Tensor:
    """The pairs i, i + d/2 of x (d), turned by their angles at a position."""
    half = len(x) // 2
    pairs = torch.complex(x[:half], x[half:])
    angles = position * 10_000 ** (-torch.arange(half, dtype=x.dtype) / half)
    pairs = pairs * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([pairs.real, pairs.imag])
