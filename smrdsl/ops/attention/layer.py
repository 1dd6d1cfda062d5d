"""How `attention` computes. Keys are kept as they were turned, by positions from the start of the stream."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.attention import (
    attend,
    attend_last,
    attend_window,
    distance_buckets,
    relative_bias,
    rotate,
    toeplitz,
)
from smrdsl.kernels.initial import Draw, fill_linear, fill_normal
from smrdsl.ops.attention import BUCKETS, AttentionParams, shared_width
from smrdsl.ops.contract import Streams

REL_BIAS_STD = 0.02


class Attention(nn.Module):
    """(B, L, D) -> (B, L, D).

    State: `keys` and `values` (B, T or window - 1, kv_heads, d), and with a window `position` (B).
    """

    def __init__(self, p: AttentionParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        width, shared = inputs[0].width, shared_width(p, inputs[0].width)
        self.head, self.turned = width // p.heads, p.positions == "rotary"
        self.causal, self.window, self.dropout = p.causal, p.window, p.dropout
        self.before, self.after = reach(p)

        def weight(rows: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(rows, width))

        def bias(rows: int) -> nn.Parameter | None:
            return nn.Parameter(torch.empty(rows)) if p.bias else None

        self.W_q, self.b_q = weight(width), bias(width)
        self.W_k, self.b_k = weight(shared), bias(shared)
        self.W_v, self.b_v = weight(shared), bias(shared)
        self.W_o, self.b_o = weight(width), bias(width)
        self.rel_bias = nn.Parameter(torch.empty(BUCKETS, p.heads)) if p.positions == "t5" else None
        self.rows = distance_buckets(BUCKETS if p.causal else BUCKETS // 2)

    def reset_parameters(self, draw: Draw) -> None:
        fill_linear(self.W_q, self.b_q, draw, ("W_q", "b_q"))
        fill_linear(self.W_k, self.b_k, draw, ("W_k", "b_k"))
        fill_linear(self.W_v, self.b_v, draw, ("W_v", "b_v"))
        fill_linear(self.W_o, self.b_o, draw, ("W_o", "b_o"))
        if self.rel_bias is not None:
            fill_normal(self.rel_bias, REL_BIAS_STD, draw("rel_bias"))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self._project(x, torch.arange(x.shape[1], device=x.device))
        if self.window is None:
            return self._merge(self._full(q, k, v))
        past = (0, 0, 0, 0, self.before, 0)
        return self._merge(self._near(q, F.pad(k, past), F.pad(v, past)))

    def extend(self, x: Tensor, keys: Tensor, values: Tensor, *position: Tensor) -> tuple[Tensor, ...]:
        length = x.shape[1]
        seen = position[0] if position else None
        steps = torch.arange(length, device=x.device)
        q, k, v = self._project(x, steps + (keys.shape[1] if seen is None else seen[:, None]))
        keys, values = torch.cat((keys, k), dim=1), torch.cat((values, v), dim=1)
        if seen is None:
            return self._merge(self._full(q, keys, values)), keys, values
        y = self._merge(self._near(q, keys, values, seen))
        return y, keys[:, length:].clone(), values[:, length:].clone(), seen + length

    def step(self, x: Tensor, keys: Tensor, values: Tensor, *position: Tensor) -> tuple[Tensor, ...]:
        seen = position[0] if position else None
        place = torch.full((1,), keys.shape[1], device=x.device) if seen is None else seen[:, None]
        q, k, v = self._project(x[:, None], place)
        keys, values = torch.cat((keys, k), dim=1), torch.cat((values, v), dim=1)
        if seen is None:
            return self._merge(self._full(q, keys, values))[:, 0], keys, values
        y = attend_last(q, keys, values, seen, self._bias(self.before, 0), self._dropout())
        return self._merge(y)[:, 0], keys[:, 1:], values[:, 1:], seen + 1

    def _project(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (B, L, heads, d)."""
        q = F.linear(x, self.W_q, self.b_q).unflatten(-1, (-1, self.head))
        k = F.linear(x, self.W_k, self.b_k).unflatten(-1, (-1, self.head))
        v = F.linear(x, self.W_v, self.b_v).unflatten(-1, (-1, self.head))
        return (rotate(q, positions), rotate(k, positions), v) if self.turned else (q, k, v)

    def _full(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The queries are those of the last positions of the keys."""
        length, past = q.shape[1], k.shape[1] - q.shape[1]
        if length == 0:
            return q
        if not self.causal or length == 1:
            mask = None
        elif self.rel_bias is None and past == 0:
            return attend(q, k, v, None, self._dropout(), causal=True)
        else:
            mask = torch.ones(length, past + length, dtype=torch.bool, device=q.device).tril(past)
        bias = self._bias(past + length - 1, length - 1)
        if bias is not None:
            bias = toeplitz(bias, length)
            mask = bias if mask is None else bias.masked_fill(~mask, -torch.inf)
        return attend(q, k, v, mask, self._dropout())

    def _near(self, q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None = None) -> Tensor:
        bias = self._bias(self.before, self.after)
        return attend_window(q, k, v, self.before, self.after, seen, bias, self._dropout())

    def _bias(self, back: int, ahead: int) -> Tensor | None:
        """(heads, back + 1 + ahead), by offset."""
        if self.rel_bias is None:
            return None
        return relative_bias(self.rel_bias, self.rows, back, ahead, self.causal)

    def _dropout(self) -> float:
        return self.dropout if self.training else 0.0

    def _merge(self, heads: Tensor) -> Tensor:
        return F.linear(heads.flatten(2), self.W_o, self.b_o)


def reach(p: AttentionParams) -> tuple[int, int]:
    """How many positions before and after the present one the window holds."""
    others = (p.window or 1) - 1
    return (others, 0) if p.causal else (others // 2, others - others // 2)
