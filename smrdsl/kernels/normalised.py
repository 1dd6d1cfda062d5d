"""Kernels that are normalised over the length of the sequence: sums of softmaxes, over l, of l z for complex z.

    k_l = Re sum_n w_n / Lambda_n  e^{l z_n} / (1 + e^{z_n} + ... + e^{(L - 1) z_n})        z = Delta Lambda

The kernel depends on L, so that no recurrence leaves it: there is no state. A mode that grows is one that fades, read
from the end: e^{l z} / sum_j e^{j z} = e^{(L - 1 - l)(-z)} / sum_j e^{-j z}. So only fading powers are ever taken, and
nothing overflows at any length.

In a padded batch each sequence is convolved with the kernel of its own length.

Source: Gupta et al. 2022, "Diagonal State Spaces are as Effective as Structured State Spaces", proposition 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from smrdsl.kernels import any_length, system
from smrdsl.kernels.any_length import known
from smrdsl.kernels.convolution import convolve, convolve_both
from smrdsl.kernels.core import block_width, in_full, in_precision
from smrdsl.kernels.discretise import exponential, multiply, real
from smrdsl.kernels.lengths import reverse, silence
from smrdsl.kernels.memo import Kept, remember
from smrdsl.kernels.powers import Powers
from smrdsl.kernels.system import System
from smrdsl.kernels.transition import Diagonal, Pair

LEAST = 1e-7
"""Bound below of |Lambda|^2 and of the squared sum of a softmax: where they are 0 the kernel would be infinite."""


@dataclass(frozen=True)
class Normalised:
    """lam (1, 1, N), the step (H, 1, 1), w (ways, H, 1, N) for one or two directions, the skip d (H) or None: all wide.

    `kept` holds what was last made of them.
    """

    lam: Pair
    step: Tensor
    w: Pair
    d: Tensor | None
    kept: Kept | None


def forward(core: Normalised, u: Tensor, lengths: Tensor | None) -> Tensor:
    """u (B, L, H), lengths (B) or None -> (B, L, H). The other direction leaves out the present sample."""
    if 0 in u.shape[:2]:
        return u.clone()
    with in_full(u):
        v = in_precision(u)
        v = v if lengths is None else silence(v, lengths)
        length, width = v.shape[1], block_width(v)
        ways = remember(
            core.kept, "kernels", (v.dtype, length, lengths), lambda: kernels(core, v.dtype, length, lengths)
        )
        run = convolve if len(ways) == 1 else convolve_both
        blocks = zip(v.split(width, 2), *(k.split(width, -2) for k in ways), strict=True)
        y = torch.cat([run(*block) for block in blocks], 2)
        if core.d is not None:
            y = torch.addcmul(y, v, core.d.to(v.dtype))
        return y.to(u.dtype)


def kernels(core: Normalised, dtype: torch.dtype, length: int, lengths: Tensor | None) -> list[Tensor]:
    """For each direction (H, L), or (B, H, L) where there are lengths (B)."""
    grows = core.lam[0] > 0
    sign = torch.where(grows, -1.0, 1.0) * core.step
    z = core.lam[0] * sign, core.lam[1] * sign
    total = sum_of_powers(z, length if lengths is None else lengths[:, None])
    re, im = multiply(core.w, multiply(safe_inverse(total, LEAST), safe_inverse(core.lam, LEAST)))
    rows, grows = torch.cat([re, -im], -1), torch.cat([grows, grows], -1)
    return read(z, torch.where(grows, 0.0, rows), torch.where(grows, rows, 0.0), dtype, length, lengths)


def read(
    z: Pair, fading: Tensor, growing: Tensor, dtype: torch.dtype, length: int, lengths: Tensor | None
) -> list[Tensor]:
    """The kernels that rows (ways, H, 1 or B, 2 N) read off e^{l z}: those that grow are reversed."""
    ways, _, batch, _ = fading.shape
    c = torch.stack([fading, growing]).movedim(2, 0).flatten(1, 3)
    one = real((torch.ones_like(z[0]), torch.zeros_like(z[0])))
    s = System(Powers(Diagonal.of(exponential(z)[0])), one.to(dtype), c.to(dtype), None)
    k = (system if known(length) else any_length).kernels(s, length)
    faded, grown = k.unflatten(0, (2, ways, batch))
    if lengths is None:
        return [*(faded + grown.flip(-1)).squeeze(1)]
    return [f + reverse(g.transpose(1, 2), lengths).transpose(1, 2) for f, g in zip(faded, grown, strict=True)]


def sum_of_powers(z: Pair, spans: int | Tensor) -> Pair:
    """1 + e^z + ... + e^{(L - 1) z} for Re z <= 0, where L = `spans`: a number, or (B, 1) to be told by sequence."""
    over, under = exponential((spans * z[0], spans * z[1]))[1], exponential(z)[1]
    return multiply(over, safe_inverse(under, torch.finfo(under[0].dtype).tiny))


def safe_inverse(a: Pair, least: float) -> Pair:
    """1 / a, where |a|^2 counts as `least` if it is below."""
    size = (a[0] * a[0] + a[1] * a[1]).clamp(min=least)
    return a[0] / size, -a[1] / size
