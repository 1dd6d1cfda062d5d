"""How `attention` computes. Keys are kept as they were turned, by positions from the start of the stream."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.attention import Weights, attend_full, attend_last, attend_reach, attend_window
from smrdsl.kernels.initial import Draw, fill_linear, fill_normal
from smrdsl.kernels.lengths import silence
from smrdsl.kernels.memo import Kept, Memo, remember
from smrdsl.kernels.relative import bucket_bias, distance_buckets, rotate
from smrdsl.ops.attention import AttentionParams, shared_width
from smrdsl.ops.contract import Streams

REL_BIAS_STD = 0.02


class Attention(nn.Module):
    """(B, L, D) -> (B, L, D).

    State: `keys` and `values` (B, T or window - 1, kv_heads, d), and with a window `position` (B).
    """

    def __init__(self, p: AttentionParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.p = p
        width, shared = inputs[0].width, shared_width(p, inputs[0].width)
        self.head, self.turned = width // p.heads, p.positions == "rotary"
        self.causal, self.window, self.dropout = p.causal, p.window, p.dropout
        self.before, self.after = reach(p.window or 1, p.causal)

        def weight(rows: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(rows, width))

        def bias(rows: int) -> nn.Parameter | None:
            return nn.Parameter(torch.empty(rows)) if p.bias else None

        self.W_q, self.b_q = weight(width), bias(width)
        self.W_k, self.b_k = weight(shared), bias(shared)
        self.W_v, self.b_v = weight(shared), bias(shared)
        self.W_o, self.b_o = weight(width), bias(width)
        self.rel_bias = None
        if p.positions == "t5":
            self.rel_bias = nn.Parameter(torch.empty(p.buckets, p.heads))
            self.rows = distance_buckets(p.buckets if p.causal else p.buckets // 2, p.max_distance)
        self.memo: Memo[Kept | None] = Memo()

    def reset_parameters(self, draw: Draw) -> None:
        fill_linear(self.W_q, self.b_q, draw, ("W_q", "b_q"))
        fill_linear(self.W_k, self.b_k, draw, ("W_k", "b_k"))
        fill_linear(self.W_v, self.b_v, draw, ("W_v", "b_v"))
        fill_linear(self.W_o, self.b_o, draw, ("W_o", "b_o"))
        if self.rel_bias is not None:
            fill_normal(self.rel_bias, REL_BIAS_STD, draw("rel_bias"))

    def forward(self, x: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        if lengths is not None:
            x = silence(x, lengths)
        q, k, v = self._project(x, torch.arange(x.shape[1], device=x.device))
        if self.window is None:
            return self._merge(attend_full(q, k, v, self.causal, self._weights(), lengths))
        return self._merge(attend_window(q, k, v, self.before, self.after, self._weights(), lengths))

    def extend(self, x: Tensor, keys: Tensor, values: Tensor, *position: Tensor) -> tuple[Tensor, ...]:
        length = x.shape[1]
        steps = torch.arange(length, device=x.device)
        places = steps + (position[0][:, None] if position else keys.shape[1])
        q, k, v = self._project(x, places)
        keys, values = torch.cat((keys, k), dim=1), torch.cat((values, v), dim=1)
        if not position:
            return self._merge(attend_full(q, keys, values, True, self._weights())), keys, values
        back = places.clamp(max=self.before)
        y = self._merge(attend_reach(q, keys, values, back, self.before, 0, self._weights()))
        return y, keys[:, length:].clone(), values[:, length:].clone(), position[0] + length

    def step(self, x: Tensor, keys: Tensor, values: Tensor, *position: Tensor) -> tuple[Tensor, ...]:
        place = position[0][:, None] if position else torch.full((1,), keys.shape[1], device=x.device)
        q, k, v = self._project(x[:, None], place)
        keys, values = torch.cat((keys, k), dim=1), torch.cat((values, v), dim=1)
        if not position:
            return self._merge(attend_full(q, keys, values, True, self._weights()))[:, 0], keys, values
        y = attend_last(q, keys, values, position[0].clamp(max=self.before), self._weights())
        return self._merge(y)[:, 0], keys[:, 1:], values[:, 1:], position[0] + 1

    def _project(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (B, L, heads, d)."""
        q = F.linear(x, self.W_q, self.b_q).unflatten(-1, (-1, self.head))
        k = F.linear(x, self.W_k, self.b_k).unflatten(-1, (-1, self.head))
        v = F.linear(x, self.W_v, self.b_v).unflatten(-1, (-1, self.head))
        return (rotate(q, positions), rotate(k, positions), v) if self.turned else (q, k, v)

    def _weights(self) -> Weights:
        return Weights(self._bias, dropout=self.dropout if self.training else 0.0)

    def _bias(self, back: int, ahead: int) -> Tensor | None:
        """(heads, back + 1 + ahead), by offset."""
        table = self.rel_bias
        if table is None:
            return None
        kept = self.memo([table], lambda kept: kept)
        return remember(kept, "bias", (back, ahead), lambda: bucket_bias(table, self.rows, back, ahead, self.causal))

    def _merge(self, heads: Tensor) -> Tensor:
        return F.linear(heads.flatten(2), self.W_o, self.b_o)


def reach(window: int, causal: bool) -> tuple[int, int]:
    """How many positions before and after the present one a window holds."""
    others = window - 1
    return (others, 0) if causal else (others // 2, others - others // 2)
