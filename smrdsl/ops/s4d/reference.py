"""`s4d` from its definition: every system by itself, in complex numbers, one time after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from smrdsl.ops.s4d.layer import S4D


def reference(layer: S4D, u: Tensor, *, rate: float = 1.0, dt: Tensor | None = None) -> Tensor:
    gaps = rate * (torch.ones_like(u[..., 0]) if dt is None else dt)
    if not layer.p.bidirectional:
        y = one_way(layer, layer.C, u, gaps)
    else:
        back = one_way(layer, layer.C[1], u.flip(1), gaps.flip(1)).flip(1)
        y = one_way(layer, layer.C[0], u, gaps)
        y = y + torch.cat([back[:, 1:], torch.zeros_like(u[:, :1])], 1)
    return y if layer.D is None else y + layer.D * u


def one_way(layer: S4D, stored: Tensor, u: Tensor, gaps: Tensor) -> Tensor:
    """(B, L, H) from the zero state, without the skip."""
    rows = torch.arange(u.shape[2]) % layer.p.copies
    lam = torch.complex(-torch.exp(layer.log_A_real), -layer.A_imag)[rows]
    b, c = torch.view_as_complex(layer.B)[rows], torch.view_as_complex(stored)
    x, outputs = torch.zeros(u.shape[0], *lam.shape, dtype=lam.dtype), []
    for t in range(u.shape[1]):
        a_bar, b_bar = sample(layer, lam, b, gaps[:, t, None, None])
        if layer.p.steps == "decay":
            b_bar = sample(layer, lam, b, torch.ones_like(gaps[:, t, None, None]))[1]
        x = a_bar * x + b_bar * u[:, t, :, None]
        outputs.append(2 * (c * x).sum(-1).real)
    return torch.stack(outputs, 1) if outputs else torch.zeros_like(u)


def sample(layer: S4D, lam: Tensor, b: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
    """A-bar and B-bar (B, H, N/2)."""
    delta = gap * torch.exp(layer.log_dt)[:, None]
    if layer.p.disc == "zoh":
        return torch.exp(delta * lam), (torch.exp(delta * lam) - 1) / lam * b
    return (1 + delta * lam / 2) / (1 - delta * lam / 2), delta * b / (1 - delta * lam / 2)
