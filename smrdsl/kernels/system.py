"""A time-invariant system with one input and one output per channel, and what follows from its powers.

    x_t = A x_{t-1} + b u_t        y_t = c . x_t + d u_t        k_l = c . A^l b, the kernel (and d in k_0)

Times are cut into tiles of T: A^(iT + j) = (A^T)^i A^j, so that a kernel is one product of the rows c (A^T)^i and the
columns A^j b, about sqrt(L) of each. States go in and out as (B, H, N); lengths are above 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels.powers import Powers
from smrdsl.kernels.transition import Transition


@dataclass(frozen=True)
class System:
    """`powers` are those of A in wide precision; b, c (H, 1, N) and the skip d (H), or None, in that of the stream.

    `back` is the c of the other direction, where there is one.
    """

    powers: Powers
    b: Tensor
    c: Tensor
    d: Tensor | None
    back: Tensor | None = None

    @property
    def a(self) -> Transition:
        """A in the precision of the stream."""
        return self.powers.square(0, self.b.dtype)

    def split(self, width: int) -> list[System]:
        """The systems of blocks of `width` channels."""
        powers = self.powers.split(width)
        nothing = [None] * len(powers)
        skips = nothing if self.d is None else self.d.split(width)
        backs = nothing if self.back is None else self.back.split(width)
        parts = zip(powers, self.b.split(width), self.c.split(width), skips, backs, strict=True)
        return [System(*part) for part in parts]

    def reversed(self) -> System:
        """The other direction by itself."""
        assert self.back is not None
        return System(self.powers, self.b, self.back, None)


def kernel(system: System, length: int) -> Tensor:
    """k_0 ... k_{length - 1}, (H, length); the skip is part of k_0."""
    return with_skip(kernels(system, length)[0], system.d)


def kernels(system: System, length: int) -> Tensor:
    """Those of several rows c (H, m, N), without the skip: (m, H, length)."""
    log, tiles = tiling(length)
    columns = system.powers.orbit(system.b, 1 << log)
    rows = system.powers.orbit(system.c, tiles, first=log, transposed=True)
    return laid_out(rows @ columns.mT, system.c.shape[1])[..., :length]


def laid_out(k: Tensor, rows: int) -> Tensor:
    """(H, M * m, T), tiles outermost -> kernels of the m rows, (m, H, M * T)."""
    channels, _, size = k.shape
    return k.view(channels, -1, rows, size).permute(2, 0, 1, 3).flatten(2)


def response(system: System, x: Tensor, length: int) -> Tensor:
    """c . A^(t + 1) x, what a state (B, H, N) adds to the output: (B, length, H)."""
    log, tiles = tiling(length)
    columns = system.powers.orbit(system.a.apply(x.transpose(0, 1)), 1 << log)
    rows = system.powers.orbit(system.c, tiles, first=log, transposed=True)
    y = (rows @ columns.mT).view(x.shape[1], tiles << log, x.shape[0])
    return y[:, :length].permute(2, 1, 0)


def last_state(system: System, u: Tensor, x: Tensor) -> Tensor:
    """The state (B, H, N) after the inputs u (B, L, H) that follow the state x."""
    batch, length, channels = u.shape
    log, tiles = tiling(length)
    missing = (tiles << log) - length
    columns = system.powers.orbit(system.b, 1 << log)
    z = (cut(u, 1 << log, missing, 0) @ columns).view(channels, batch, tiles, x.shape[2])
    total = system.powers.advance(x.transpose(0, 1), (1 << log) - missing)
    across = system.powers.square(log, u.dtype)
    for i, inputs in enumerate(z.unbind(2)):
        total = total + inputs if i == 0 else across.next(total, inputs)
    return total.transpose(0, 1)


def tiling(length: int) -> tuple[int, int]:
    """(log2 T, number of tiles)."""
    log = ((length - 1).bit_length() + 1) // 2
    return log, (length + (1 << log) - 1) >> log


def with_skip(k: Tensor, d: Tensor | None) -> Tensor:
    """A kernel (H, L) whose first entry takes over the skip."""
    return k if d is None else k + F.pad(d[:, None], (0, k.shape[1] - 1))


def cut(u: Tensor, size: int, before: int, after: int) -> Tensor:
    """u (B, L, H) with so many zeros before and after -> tiles (H, B * M, size), the newest input first in each."""
    batch, length, channels = u.shape
    tiles = (before + length + after) // size
    padded = F.pad(u, (0, 0, before, after)).reshape(batch * tiles, size, channels)
    # Compact before it is transposed: in a block of u, times lie a power of two apart and share few cache lines.
    return padded.flip(1).transpose(1, 2).contiguous().transpose(0, 1).contiguous()
