"""A bank of P complex first-order recurrences, x_t = a_t x_{t-1} + v_t, on real vectors [Re; Im] of 2P numbers.

It is what lies between B u and C x in a diagonal system with many inputs and outputs. `Steady` modes have one a for all
times, `Varying` ones an a for every sequence and time. There are four ways to run them:

    scan        in chunks of 16, their last states in chunks of 16 chunks, and so on
    conv        by FFT with the kernel a^l, where a is steady
    recur       one time after the other; `recur_natively` by a native kernel where there is one
    double      x_t += a^(2^k) x_{t - 2^k}, for a length that is a symbol: 24 passes, and no loop over time

Each takes v (B, L, 2P), L > 0, and the state x (B, 2P) before it, and leaves the state at every time, (B, L, 2P).

`scan` reads v twice and loops 16 times a level, so that it takes a fifth of the time of the products with B and C (B 4,
H 256, P 32, L 1024 to 16384, one thread); with chunks of 8 or 32 it took as long, by matrix products twice as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels.any_length import BITS, known
from smrdsl.kernels.convolution import period
from smrdsl.kernels.native_calls import fits, loops
from smrdsl.kernels.native_modes import modes_forward
from smrdsl.kernels.powers import Powers
from smrdsl.kernels.transition import Diagonal, swap

LOG = 4
SIZE = 1 << LOG
"""Length of a chunk."""


@dataclass(frozen=True)
class Steady:
    """`step` (2P), the same at every time: a^(2^first) in the precision of the stream; `powers` are those of a."""

    powers: Powers
    step: Diagonal
    first: int = 0

    @classmethod
    def of(cls, powers: Powers, dtype: torch.dtype, first: int = 0) -> Steady:
        a = powers.square(first, dtype)
        assert isinstance(a, Diagonal)
        return cls(powers, a, first)

    def steps(self, length: int) -> list[Diagonal]:
        """The transition at each time."""
        return [self.step] * length

    def orbit(self, count: int) -> Tensor:
        """a^0, a^1, ... as numbers, (count, 2P)."""
        one = Diagonal.one(self.step.same[None, None])
        return self.powers.orbit(one, count, self.first).squeeze(0)

    def chunks(self) -> tuple[list[Diagonal], list[Diagonal], Steady]:
        """The transitions of a chunk, one by one and all up to each time; and the modes from chunk to chunk."""
        ways = apart(Diagonal.from_vectors(self.orbit(SIZE + 1)[1:]), 0)
        return self.steps(SIZE), ways, self.later(LOG)

    def doubled(self, earlier: Tensor) -> Steady:
        """The modes over twice the time."""
        return self.later(1)

    def later(self, log: int) -> Steady:
        """The modes over 2^log times the time."""
        return Steady.of(self.powers, self.step.same.dtype, self.first + log)


@dataclass(frozen=True)
class Varying:
    """`step` (B, L, 2P), one for every sequence and time."""

    step: Diagonal

    def steps(self, length: int) -> list[Diagonal]:
        """The transition (B, 2P) at each time."""
        return apart(self.step, 1)

    def chunks(self) -> tuple[list[Diagonal], list[Diagonal], Varying]:
        """The transitions of a chunk, one by one and all up to each time; and the modes from chunk to chunk."""
        steps = apart(Diagonal(cut(self.step.same), cut(self.step.cross)), 2)
        ways = steps[:1]
        for a in steps[1:]:
            ways.append(a.after(ways[-1]))
        return steps, ways, Varying(ways[-1])

    def doubled(self, earlier: Tensor) -> Varying:
        """The modes over twice the time; `earlier` are the times half of it before."""
        return Varying(self.step.after(Diagonal(self.step.same[:, earlier], self.step.cross[:, earlier])))


Modes = Steady | Varying


def run(strategy: str, modes: Modes, v: Tensor, x: Tensor) -> Tensor:
    """By the name of a strategy, or by another where it cannot: all are exact."""
    if not known(v.shape[1]):
        return double(modes, v, x)
    if strategy == "recurrent" and v.shape[1] > 1 and fits(v, x, gpu=True):
        return recur_natively(modes, v, x)
    if strategy == "recurrent" and loops(v):
        return recur(modes, v, x)
    if strategy == "conv" and isinstance(modes, Steady):
        return conv(modes, v, x)
    return scan(modes, v, x)


def recur(modes: Modes, v: Tensor, x: Tensor) -> Tensor:
    """One time after the other."""
    return torch.stack(follow(modes.steps(v.shape[1]), v.unbind(1), x), 1)


def recur_natively(modes: Modes, v: Tensor, x: Tensor) -> Tensor:
    """The same by a native kernel."""
    half = v.shape[2] // 2
    return modes_forward(v, x, modes.step.same[..., :half], modes.step.cross[..., half:])


def scan(modes: Modes, v: Tensor, x: Tensor) -> Tensor:
    """In chunks: each from no state, then what the state before it adds, which a scan from chunk to chunk tells."""
    batch, length, states = v.shape
    if length <= SIZE:
        return recur(modes, v, x)
    steps, ways, across = modes.chunks()
    alone = follow(steps, cut(v).unbind(2), None)
    after = scan(across, alone[-1], x)
    before = torch.cat([x.unsqueeze(1), after[:, :-1]], 1)
    turned = swap(before)
    found = [y.addcmul(way.same, before).addcmul_(way.cross, turned) for y, way in zip(alone, ways, strict=True)]
    return torch.stack(found, 2).view(batch, -1, states)[:, :length]


def conv(modes: Steady, v: Tensor, x: Tensor) -> Tensor:
    """By FFT: a^l is convolved as two real kernels, with one transform of each number of v and one back."""
    length = v.shape[1]
    size = period(length)
    # Compact first: in v, times lie far apart and share few cache lines.
    inputs = torch.fft.rfft(started(modes, v, x).transpose(1, 2).contiguous(), n=size)
    re, im = torch.fft.rfft(modes.orbit(length).t().contiguous(), n=size).chunk(2)
    turned = inputs.roll(inputs.shape[1] // 2, 1)
    spectrum = torch.cat([re, re]) * inputs + torch.cat([-im, im]) * turned
    return torch.fft.irfft(spectrum, n=size)[..., :length].transpose(1, 2)


def double(modes: Modes, v: Tensor, x: Tensor) -> Tensor:
    """By doubling, for any length up to 2^24."""
    times = torch.arange(v.shape[1], device=v.device)
    v = started(modes, v, x)
    for k in range(BITS):
        earlier = times - (1 << k)
        there, earlier = (earlier >= 0).unsqueeze(1), earlier.clamp(min=0)
        v = modes.step.next(torch.where(there, v[:, earlier], 0.0), v)
        modes = modes.doubled(earlier)
    return v


def follow(steps: Sequence[Diagonal], inputs: Sequence[Tensor], x: Tensor | None) -> list[Tensor]:
    """The states after each of some inputs, from the state x or from none."""
    states = []
    for a, v in zip(steps, inputs, strict=True):
        x = v if x is None else a.next(x, v)
        states.append(x)
    return states


def started(modes: Modes, v: Tensor, x: Tensor) -> Tensor:
    """v with what the state x leaves at the first time, so that it may run from the zero state."""
    first = (torch.arange(v.shape[1], device=v.device) == 0).unsqueeze(1)
    return v + torch.where(first, modes.step.apply(x.unsqueeze(1)), 0.0)


def cut(v: Tensor) -> Tensor:
    """(B, L, 2P) -> chunks (B, M, 16, 2P), zeros behind the last."""
    missing = -v.shape[1] % SIZE
    padded = F.pad(v, (0, 0, 0, missing)) if missing else v
    return padded.reshape(v.shape[0], -1, SIZE, v.shape[2])


def apart(a: Diagonal, axis: int) -> list[Diagonal]:
    """The transitions along an axis, one by one."""
    return [Diagonal(*parts) for parts in zip(a.same.unbind(axis), a.cross.unbind(axis), strict=True)]
