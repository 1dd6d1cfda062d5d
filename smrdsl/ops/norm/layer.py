"""How `norm` computes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.errors import SmrError
from smrdsl.core.types import StreamType
from smrdsl.kernels.core import in_precision
from smrdsl.kernels.initial import Draw, fill
from smrdsl.kernels.lengths import silence
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.ops.contract import Streams
from smrdsl.ops.norm import NormParams

MOMENTUM = 0.1


class Norm(nn.Module):
    """(..., D) -> (..., D); `batch` in training needs (B, L, D)."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, p: NormParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        self.kind, self.eps, self.groups = p.kind, p.eps, p.groups
        self.width = inputs[0].width
        shifted = p.kind in ("layer", "batch")
        self.weight = learned(self.width, p.affine and p.kind != "scale")
        self.bias = learned(self.width, p.affine and shifted)
        self.g = learned(1, p.affine and p.kind == "scale")
        if p.kind == "batch":
            self.register_buffer("running_mean", torch.zeros(self.width))
            self.register_buffer("running_var", torch.ones(self.width))

    def reset_parameters(self, draw: Draw) -> None:
        for parameter, start in ((self.weight, 1.0), (self.bias, 0.0), (self.g, 1.0)):
            if parameter is not None:
                fill(parameter, start)
        if self.kind == "batch":
            fill(self.running_mean, 0.0)
            fill(self.running_var, 1.0)

    def forward(self, x: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        if self.kind == "layer":
            return F.layer_norm(x, (self.width,), self.weight, self.bias, self.eps)
        if self.kind == "batch":
            return self._batch(x) if lengths is None else self._padded_batch(silence(x, lengths), lengths)
        return self._by_size(in_precision(x)).to(x.dtype)

    def _by_size(self, x: Tensor) -> Tensor:
        """`rms` and `scale`, in float32 at least: torch's own has no fast way for halves under weights in full."""
        weight = None if self.weight is None else in_precision(self.weight)
        if self.groups == 1:
            y = F.rms_norm(x, (self.width,), weight, self.eps)
            return y if self.g is None else y * self.g
        grouped = x.unflatten(-1, (self.groups, self.width // self.groups))
        y = F.rms_norm(grouped, grouped.shape[-1:], None, self.eps).flatten(-2)
        return y if weight is None else y * weight

    def _batch(self, x: Tensor) -> Tensor:
        """Statistics over batch and time; an empty batch teaches nothing."""
        if self.training and x.dim() < 3:
            raise SmrError(
                "norm(batch) cannot be stepped in training mode, where its statistics are those of a whole "
                "batch: call `.eval()` first, or use norm(layer)"
            )
        if x.numel() == 0:
            return x
        rows = x.reshape(-1, self.width)
        if self.training and rows.shape[0] == 1:
            return self._affine(x - x)  # a value alone is its own mean
        y = F.batch_norm(
            rows,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            MOMENTUM,
            self.eps,
        )
        return y.reshape(x.shape)

    def channel_map(self) -> tuple[Tensor, Tensor] | None:
        """`batch` by its running statistics."""
        if self.kind != "batch" or self.training:
            return None
        weight = torch.rsqrt(self.running_var + self.eps)
        if self.weight is None or self.bias is None:
            return weight, -self.running_mean * weight
        weight = weight * self.weight
        return weight, self.bias - self.running_mean * weight

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream | None:
        if self.kind == "batch":
            return None if self.training else program.affine(streams[0], *self._running())
        weight = self.weight if self.g is None else self.g.expand(self.width)
        centred = self.kind == "layer"
        groups = 1 if centred else self.groups
        return program.norm(streams[0], weight, self.bias, self.eps, centred=centred, groups=groups)

    def _running(self) -> tuple[Tensor, Tensor]:
        """What the running statistics and the parameters scale and shift by."""
        scale = torch.rsqrt(self.running_var + self.eps)
        if self.weight is None or self.bias is None:
            return scale, -self.running_mean * scale
        scale = scale * self.weight
        return scale, self.bias - self.running_mean * scale

    def _padded_batch(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The same for x with zeros behind the ends, which do not count."""
        if not self.training or x.numel() == 0:
            return self._batch(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        count = lengths.sum().to(wide.dtype)
        mean = wide.sum((0, 1)) / count.clamp(min=1)
        apart = silence(wide - mean, lengths)
        var = apart.square().sum((0, 1)) / count.clamp(min=1)
        self._learn(mean.detach(), var.detach() * count / (count - 1).clamp(min=1), count)
        return self._affine(apart * torch.rsqrt(var + self.eps)).to(x.dtype)

    @torch.no_grad()
    def _learn(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        """Move the running statistics, unless fewer than two values were seen."""
        for running, found in ((self.running_mean, mean), (self.running_var, var)):
            running.lerp_(torch.where(count > 1, found, running).to(running.dtype), MOMENTUM)

    def _affine(self, x: Tensor) -> Tensor:
        return x if self.weight is None or self.bias is None else x * self.weight + self.bias


def learned(size: int, wanted: bool) -> nn.Parameter | None:
    return nn.Parameter(torch.empty(size)) if wanted else None
