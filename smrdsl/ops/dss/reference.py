"""`dss` from its definition: the recurrence, or every entry of the normalised kernel, in complex numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from smrdsl.ops.dss.layer import LEAST_DECAY, Dss


def reference(layer: Dss, u: Tensor, *, rate: float = 1.0, dt: Tensor | None = None) -> Tensor:
    gaps = rate * (torch.ones_like(u[..., 0]) if dt is None else dt)
    w = torch.view_as_complex(layer.W)
    if not layer.p.bidirectional:
        y = one_way(layer, w, u, gaps)
    else:
        back = one_way(layer, w[1], u.flip(1), gaps.flip(1)).flip(1)
        y = one_way(layer, w[0], u, gaps)
        y = y + torch.cat([back[:, 1:], torch.zeros_like(u[:, :1])], 1)
    return y if layer.D is None else y + layer.D * u


def modes(layer: Dss) -> Tensor:
    """Lambda, (N)"""
    if layer.p.form == "exp":
        return torch.complex(-torch.exp(layer.Lambda_log_neg_re), layer.Lambda_im)
    re, im = layer.Lambda.unbind(-1)
    return torch.complex(re.clamp(max=-LEAST_DECAY) if layer.p.form == "clip" else re, im)


def one_way(layer: Dss, w: Tensor, u: Tensor, gaps: Tensor) -> Tensor:
    """(B, L, H) from the zero state, without the skip."""
    if layer.p.form == "softmax":
        return by_softmax(layer, w, u)
    lam, delta = modes(layer), torch.exp(layer.log_dt)[:, None]
    x, outputs = torch.zeros(u.shape[0], *w.shape, dtype=w.dtype), []
    for t in range(u.shape[1]):
        gap = gaps[:, t, None, None]
        weight = (torch.exp((1.0 if layer.p.steps == "decay" else gap) * delta * lam) - 1) / lam
        x = torch.exp(gap * delta * lam) * x + weight * u[:, t, :, None]
        outputs.append((w * x).sum(-1).real)
    return torch.stack(outputs, 1) if outputs else torch.zeros_like(u)


def by_softmax(layer: Dss, w: Tensor, u: Tensor) -> Tensor:
    """The published kernel, softmaxes of l Delta Lambda over l, and the sum of its products."""
    length, lam = u.shape[1], modes(layer)
    exponents = torch.arange(length) * (torch.exp(layer.log_dt)[:, None] * lam)[..., None]
    shares = torch.exp(exponents) / torch.exp(exponents).sum(-1, keepdim=True)
    k = ((w / lam)[..., None] * shares).sum(1).real
    outputs = [(k[:, : t + 1].flip(1).T * u[:, : t + 1]).sum(1) for t in range(length)]
    return torch.stack(outputs, 1) if outputs else torch.zeros_like(u)
