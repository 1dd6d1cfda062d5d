"""How `attend` computes. Its biases depend on offsets alone, so keys are kept as they come, whatever their position.

Whole sequences run by chunk, by window or at once. A stream goes on from a cache of the last keys, and there a chunk
is a window that reaches back to the start of the chunk: how far is told by the position, for each row of the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smrdsl.core.errors import SmrError
from smrdsl.core.types import StreamType
from smrdsl.kernels.attention import Weights, attend_chunks, attend_full, attend_last, attend_reach, attend_window
from smrdsl.kernels.initial import Draw, fill_normal
from smrdsl.kernels.lengths import silence
from smrdsl.kernels.memo import Kept, Memo, remember
from smrdsl.kernels.relative import bucket_bias, distance_buckets, rotary_bias
from smrdsl.ops.attend import AttendParams, parameters, table_length
from smrdsl.ops.attention.layer import reach
from smrdsl.ops.contract import Streams

BIAS_STD = 0.02


class Attend(nn.Module):
    """q (B, L, Z), k (B, L, Z), v (B, L, D) -> (B, L, D).

    State: `keys` (B, T, Z) and `values` (B, T, D), T the whole past or one less than the chunk or window holds, and
    with one of these `position` (B).
    """

    rel_pos_bias: nn.Parameter
    rel_alpha: nn.Parameter
    rel_beta: nn.Parameter
    rel_bias: nn.Parameter

    def __init__(self, p: AttendParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.p = p
        self.before, self.after = reach(p.window or p.chunk or 1, p.causal or p.chunk is not None)
        for name, q in parameters(p, inputs, output).items():
            self.register_parameter(name, nn.Parameter(torch.empty(q.shape)))
        if p.bias == "t5":
            self.rows = distance_buckets(p.buckets if p.causal else p.buckets // 2, p.max_distance)
        self.memo: Memo[Kept | None] = Memo()

    def reset_parameters(self, draw: Draw) -> None:
        for name, parameter in self.named_parameters():
            fill_normal(parameter, BIAS_STD, draw(name))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        if lengths is not None:
            q, k, v = (silence(x, lengths) for x in (q, k, v))
        dtype, weights = v.dtype, self._weights()
        q, k, v = self._heads(q), self._heads(k), self._heads(v)
        if self.p.chunk is not None:
            y = attend_chunks(q, k, v, self.p.chunk, self.p.causal, weights, lengths)
        elif self.p.window is not None:
            y = attend_window(q, k, v, self.before, self.after, weights, lengths)
        else:
            y = attend_full(q, k, v, self.p.causal, weights, lengths)
        return y.flatten(2).to(dtype)

    def extend(
        self, q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor, *position: Tensor
    ) -> tuple[Tensor, ...]:
        length = q.shape[1]
        keys, values = torch.cat((keys, k), dim=1), torch.cat((values, v), dim=1)
        q, k, v, dtype = self._heads(q), self._heads(keys), self._heads(values), v.dtype
        if not position:
            return attend_full(q, k, v, True, self._weights()).flatten(2).to(dtype), keys, values
        back = self._back(position[0][:, None] + torch.arange(length, device=q.device))
        y = attend_reach(q, k, v, back, self.before, 0, self._weights())
        return y.flatten(2).to(dtype), keys[:, length:].clone(), values[:, length:].clone(), position[0] + length

    def step(
        self, q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor, *position: Tensor
    ) -> tuple[Tensor, ...]:
        keys, values = torch.cat((keys, k[:, None]), dim=1), torch.cat((values, v[:, None]), dim=1)
        q, k, v, dtype = self._heads(q[:, None]), self._heads(keys), self._heads(values), v.dtype
        if not position:
            return attend_full(q, k, v, True, self._weights()).flatten(1).to(dtype), keys, values
        y = attend_last(q, k, v, self._back(position[0]), self._weights())
        return y.flatten(1).to(dtype), keys[:, 1:], values[:, 1:], position[0] + 1

    def _heads(self, x: Tensor) -> Tensor:
        """(B, L, H, channels of a head)"""
        return x.unflatten(2, (self.p.heads, -1))

    def _back(self, position: Tensor) -> Tensor:
        """How many positions before its own each one sees."""
        return position.clamp(max=self.before) if self.p.chunk is None else position % self.p.chunk

    def _weights(self) -> Weights:
        return Weights(self._bias, self.p.act, self.p.dropout if self.training else 0.0)

    def _bias(self, back: int, ahead: int) -> Tensor | None:
        """(heads, back + 1 + ahead), by offset."""
        if self.p.bias is None:
            return None
        if self.p.bias == "simple":
            return self._simple(back, ahead)
        kept = self.memo([*self.parameters()], lambda kept: kept)
        make = self._rotary if self.p.bias == "rotary" else self._t5
        return remember(kept, "bias", (back, ahead), lambda: make(back, ahead))

    def _simple(self, back: int, ahead: int) -> Tensor:
        middle = table_length(self.p) - 1
        if max(back, ahead) > middle:
            raise SmrError(
                f"attend(bias=simple): the sequence is longer than max_length={middle + 1}, the distances that were "
                "learned; raise max_length, give a chunk or window, or use bias=rotary or t5"
            )
        return self.rel_pos_bias.view(self.p.heads, -1)[:, middle - back : middle + ahead + 1]

    def _rotary(self, back: int, ahead: int) -> Tensor:
        alpha, beta = (x.view(self.p.heads, -1) for x in (self.rel_alpha, self.rel_beta))
        return rotary_bias(alpha, beta, back, ahead)

    def _t5(self, back: int, ahead: int) -> Tensor:
        return bucket_bias(self.rel_bias, self.rows, back, ahead, self.p.causal)
