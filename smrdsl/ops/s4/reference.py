"""`s4` from its definition: the full complex system, densely, one time after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from smrdsl.ops.s4.layer import S4


def reference(layer: S4, u: Tensor, *, rate: float = 1.0, dt: Tensor | None = None) -> Tensor:
    gaps = rate * (torch.ones_like(u[..., 0]) if dt is None else dt)
    if not layer.p.bidirectional:
        y = one_way(layer, layer.C, u, gaps)
    else:
        back = one_way(layer, layer.C[1], u.flip(1), gaps.flip(1)).flip(1)
        y = one_way(layer, layer.C[0], u, gaps)
        y = y + torch.cat([back[:, 1:], torch.zeros_like(u[:, :1])], 1)
    return y if layer.D is None else y + layer.D * u


def full(stored: Tensor) -> Tensor:
    """(..., N/2, 2) -> (..., N), the conjugates after the numbers themselves."""
    half = torch.view_as_complex(stored.contiguous())
    return torch.cat([half, half.conj()], -1)


def one_way(layer: S4, stored: Tensor, u: Tensor, gaps: Tensor) -> Tensor:
    """(B, L, H) from the zero state, without the skip."""
    rows = torch.arange(u.shape[2]) % layer.p.copies
    lam = full(torch.stack([-torch.exp(layer.log_A_real), -layer.A_imag], -1))[rows]
    p, b, c = full(layer.P)[:, rows], full(layer.B)[rows], full(stored)
    a = torch.diag_embed(lam) - torch.einsum("rhn,rhm->hnm", p, p.conj())
    x, outputs = torch.zeros(u.shape[0], *b.shape, dtype=b.dtype), []
    for t in range(u.shape[1]):
        a_bar, b_bar = sample(layer, a, b, gaps[:, t, None, None, None])
        if layer.p.steps == "decay":
            b_bar = sample(layer, a, b, torch.ones_like(gaps[:, t, None, None, None]))[1]
        x = (a_bar @ x.unsqueeze(-1)).squeeze(-1) + b_bar * u[:, t, :, None]
        outputs.append((c * x).sum(-1).real)
    return torch.stack(outputs, 1) if outputs else torch.zeros_like(u)


def sample(layer: S4, a: Tensor, b: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
    """A-bar (B, H, N, N) and B-bar (B, H, N)."""
    d = gap * torch.exp(layer.log_dt)[:, None, None]
    if layer.p.disc == "zoh":
        # exp(d [[A, B], [0, 0]]) = [[A-bar, B-bar], [0, 1]], good for A near singular too
        both = torch.nn.functional.pad(torch.cat([a, b.unsqueeze(-1)], -1), (0, 0, 0, 1))
        grown = torch.linalg.matrix_exp(d * both)
        return grown[..., :-1, :-1], grown[..., :-1, -1]
    unit = torch.eye(a.shape[-1], dtype=a.dtype)
    inverse = torch.linalg.inv(unit - d * a / 2)
    return inverse @ (unit + d * a / 2), (inverse @ b.unsqueeze(-1)).squeeze(-1) * d[..., 0]
