"""`attention` from its equation: one query and one head after the other, over the positions that it sees."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from smrdsl.ops.attention.layer import Attention


def reference(layer: Attention, x: Tensor) -> Tensor:
    d, heads = layer.head, x.shape[2] // layer.head
    group = heads // (layer.W_k.shape[0] // d)
    outputs = []
    for t in range(x.shape[1]):
        q = project(layer, "q", x[:, t], t)
        sums = []
        for h in range(heads):
            of_head, of_group = slice(h * d, (h + 1) * d), slice(h // group * d, (h // group + 1) * d)
            scores, values = [], []
            for s in visible(layer, t, x.shape[1]):
                k = project(layer, "k", x[:, s], s)
                score = (q[:, of_head] * k[:, of_group]).sum(1) / math.sqrt(d)
                scores.append(score if layer.rel_bias is None else score + layer.rel_bias[bucket(layer, s - t), h])
                values.append(project(layer, "v", x[:, s], s)[:, of_group])
            weights = torch.softmax(torch.stack(scores, 1), 1)
            sums.append((weights[:, :, None] * torch.stack(values, 1)).sum(1))
        y = torch.cat(sums, 1) @ layer.W_o.t()
        outputs.append(y if layer.b_o is None else y + layer.b_o)
    return torch.stack(outputs, 1)


def visible(layer: Attention, t: int, length: int) -> range:
    first, last = 0, t if layer.causal else length - 1
    if layer.window is not None:
        before = layer.window - 1 if layer.causal else (layer.window - 1) // 2
        first = max(0, t - before)
        last = min(length - 1, t + layer.window - 1 - before)
    return range(first, last + 1)


def project(layer: Attention, letter: str, x: Tensor, position: int) -> Tensor:
    y = x @ getattr(layer, f"W_{letter}").t()
    bias = getattr(layer, f"b_{letter}")
    y = y if bias is None else y + bias
    if not layer.turned or letter == "v":
        return y
    turned, half = y.clone(), layer.head // 2
    for start in range(0, y.shape[1], layer.head):
        for i in range(half):
            angle = position * 10_000 ** (-2 * i / layer.head)
            a, b = y[:, start + i], y[:, start + half + i]
            turned[:, start + i] = a * math.cos(angle) - b * math.sin(angle)
            turned[:, start + half + i] = a * math.sin(angle) + b * math.cos(angle)
    return turned


def bucket(layer: Attention, offset: int) -> int:
    return t5_bucket(offset, layer.p.buckets, layer.p.max_distance, layer.causal)


def t5_bucket(offset: int, buckets: int, farthest: int, causal: bool) -> int:
    """The bucket of key minus query, by the formula of the paper's code."""
    if not causal:
        buckets //= 2
    base = buckets if offset > 0 and not causal else 0
    distance, exact = abs(offset), buckets // 2
    if distance < exact:
        return base + distance
    far = math.floor(math.log(distance / exact) / math.log(farthest / exact) * (buckets - exact) + 1e-12)
    return base + min(exact + far, buckets - 1)
