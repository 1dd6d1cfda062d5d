"""The same as `system.py` where the length is a symbol, in a graph that is exported for any length.

No loop may then run over time, or over its logarithm. So tiles have a fixed size, and the exponents of all tiles are a
tensor of which every bit is looked at: x -> where(bit k, A^(2^k) x, x). That takes 24 passes instead of a few.
"""

from __future__ import annotations

import torch
from torch import Tensor

from smrdsl.kernels.powers import Powers
from smrdsl.kernels.system import System, cut, laid_out, with_skip

LOG = 6
"""log2 of the size of a tile."""
BITS = 24
"""Bits of the longest length."""


def known(length: int | torch.SymInt) -> bool:
    """Whether a length is a number, and not a symbol."""
    return isinstance(length, int)


def kernel(system: System, length: int) -> Tensor:
    """k_0 ... k_{length - 1}, (H, length)."""
    return with_skip(kernels(system, length)[0], system.d)


def kernels(system: System, length: int) -> Tensor:
    """Those of several rows c (H, m, N), without the skip: (m, H, length)."""
    columns = system.powers.orbit(system.b, 1 << LOG)
    k = laid_out(tile_rows(system, length) @ columns.mT, system.c.shape[1])
    return k[..., torch.arange(length, device=k.device)]


def response(system: System, x: Tensor, length: int) -> Tensor:
    """c . A^(t + 1) x, (B, length, H)."""
    columns = system.powers.orbit(system.a.apply(x.transpose(0, 1)), 1 << LOG)
    y = (tile_rows(system, length) @ columns.mT).unflatten(2, (1 << LOG, x.shape[0])).flatten(1, 2)
    return y[:, torch.arange(length, device=y.device)].permute(2, 1, 0)


def last_state(system: System, u: Tensor, x: Tensor) -> Tensor:
    """The state (B, H, N) after the inputs u (B, L, H) that follow the state x."""
    batch, length, channels = u.shape
    tiles = tile_count(length)
    columns = system.powers.orbit(system.b, 1 << LOG)
    z = cut(u, 1 << LOG, (tiles << LOG) - length, 0) @ columns
    later = torch.arange(tiles - 1, -1, -1, device=u.device).repeat(batch)
    z = raised(system.powers, z, later, LOG).view(channels, batch, tiles, x.shape[2]).sum(2)
    start = raised(system.powers, x.transpose(0, 1), torch.arange(length, length + 1, device=u.device))
    return (z + start).transpose(0, 1)


def tile_count(length: int) -> int:
    """More than enough tiles, and never a single one: a symbol that may be 1 would be taken for 1."""
    return (length >> LOG) + 2


def tile_rows(system: System, length: int) -> Tensor:
    """c A^(iT) for every tile and each of m rows c, (H, M * m, N), tiles outermost."""
    tiles, count = tile_count(length), system.c.shape[1]
    rows = system.c.repeat(1, tiles, 1)
    exponents = torch.arange(tiles, device=rows.device)[:, None].expand(tiles, count).flatten()
    return raised(system.powers, rows, exponents, LOG, transposed=True)


def raised(powers: Powers, x: Tensor, exponents: Tensor, first: int = 0, transposed: bool = False) -> Tensor:
    """G^exponents[i] x_i for G = A^(2^first) and each vector of x (H, m, N)."""
    for k in range(BITS - first):
        grown = powers.square(first + k, x.dtype, transposed).apply(x)
        x = torch.where((exponents >> k & 1).bool()[:, None], grown, x)
    return x
