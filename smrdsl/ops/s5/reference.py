"""`s5` from its definition: in complex numbers, one time after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from smrdsl.ops.s5.layer import LEAST_DECAY, S5


def reference(layer: S5, u: Tensor, *, rate: float = 1.0, dt: Tensor | None = None) -> Tensor:
    gaps = torch.ones_like(u[..., 0]) if dt is None else dt
    states = run(layer, u, rate * gaps)
    if layer.p.bidirectional:
        after = torch.cat([gaps[:, 1:], torch.ones_like(gaps[:, :1])], 1)
        states = torch.cat([states, run(layer, u.flip(1), rate * after.flip(1)).flip(1)], -1)
    y = (states @ torch.view_as_complex(layer.C).mT).real * (2 if layer.p.conj else 1)
    return y if layer.D is None else y + layer.D * u


def run(layer: S5, u: Tensor, gaps: Tensor) -> Tensor:
    """The states (B, L, P) from the zero state."""
    re = layer.Lambda_re.clamp(max=-LEAST_DECAY) if layer.p.clip else layer.Lambda_re
    lam, b = torch.complex(re, layer.Lambda_im), torch.view_as_complex(layer.B)
    x, states = torch.zeros(u.shape[0], len(lam), dtype=lam.dtype), []
    for t in range(u.shape[1]):
        a_bar, scale = sample(layer, lam, gaps[:, t, None])
        if layer.p.steps == "decay":
            scale = sample(layer, lam, torch.ones_like(gaps[:, t, None]))[1]
        x = a_bar * x + scale * (u[:, t].to(lam.dtype) @ b.mT)
        states.append(x)
    return torch.stack(states, 1) if states else x.new_zeros(u.shape[0], 0, len(lam))


def sample(layer: S5, lam: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
    """Lambda-bar and what it scales B by, (B, P)."""
    delta = gap * torch.exp(layer.log_step)
    if layer.p.disc == "zoh":
        return torch.exp(delta * lam), (torch.exp(delta * lam) - 1) / lam
    return (1 + delta * lam / 2) / (1 - delta * lam / 2), delta / (1 - delta * lam / 2)
