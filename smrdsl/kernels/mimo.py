"""A diagonal system with many inputs and outputs: one state of P complex numbers for all channels.

    x_t = a x_{t-1} + B u_t        y_t = C x_t + d u_t

What a layer such as S5 hands over is a `Mimo`. It runs as B u, its modes by the strategy of that name (`modes.py`), and
C x; where it runs both ways, C reads the states of both directions, and both count the present sample. States are real
vectors (B, 2P), [Re; Im].

A gap is the time before a sample in steps, 1 as trained; a rate is the gap of all samples. Backwards in time the gap
before a sample is the one after it, and 1 before the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from smrdsl.kernels.core import Gap, in_full, in_precision
from smrdsl.kernels.lengths import put_out
from smrdsl.kernels.memo import Kept, remember
from smrdsl.kernels.modes import Modes, Steady, Varying, run
from smrdsl.kernels.powers import Powers
from smrdsl.kernels.transition import Diagonal

Sample = Callable[[Gap, torch.dtype | None], tuple[Diagonal, Tensor]]
"""A gap, a number or (..., 1) -> a and what B is scaled by, (2P) or (..., 2P), in wide or in the precision named."""


@dataclass(frozen=True)
class Mimo:
    """b (H, 2P); c (2P, H), or (4P, H) where it runs both ways; the skip d (H) or None; all as they are stored.

    `kept` holds what was last sampled.
    """

    sample: Sample
    b: Tensor
    c: Tensor
    d: Tensor | None
    kept: Kept | None

    @property
    def both_ways(self) -> bool:
        return self.c.shape[0] == 2 * self.b.shape[1]

    def sampled(self, rate: Gap | None, dtype: torch.dtype) -> tuple[Steady, Tensor]:
        """The modes and B (H, 2P) at one rate, sampled in wide precision for streams of `dtype`."""

        def make() -> tuple[Steady, Tensor]:
            a, scale = self.sample(1.0 if rate is None else rate, None)
            return Steady.of(Powers(a), dtype), times(scale.to(dtype), self.b.to(dtype))

        return remember(self.kept, "sampled", (rate, dtype), make)

    def read(self, x: Tensor, u: Tensor) -> Tensor:
        """C x + d u: x (..., 2P or 4P), u (..., H)."""
        c = self.c.to(x.dtype)
        if self.d is None:
            return x @ c
        # Summed in place, in the tensor made for d u: fresh memory costs more than arithmetic does. That tensor must be
        # no view of another, or autograd would copy the gradient for each part.
        y = u.flatten(0, -2) * self.d.to(u.dtype)
        return y.addmm_(x.flatten(0, -2), c).view(u.shape)


def forward(
    system: Mimo,
    strategy: str,
    u: Tensor,
    rate: Gap | None = None,
    dt: Tensor | None = None,
    lengths: Tensor | None = None,
) -> Tensor:
    """The whole sequence from the zero state: u (B, L, H), dt (B, L) or None -> (B, L, H)."""
    if 0 in u.shape[:2]:
        return u.clone()
    with in_full(u):
        v = in_precision(u)
        if lengths is not None:
            v, dt = put_out(v, dt, lengths)
        start = v.new_zeros(v.shape[0], system.b.shape[1])
        return system.read(_states(system, strategy, v, start, rate, dt), v).to(u.dtype)


def extend(
    system: Mimo, strategy: str, u: Tensor, x: Tensor, rate: Gap | None = None, dt: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """A chunk u (B, L, H) after the state x (B, 2P): the outputs and the state after them."""
    assert not system.both_ways, "a core that runs both ways has no state"
    if 0 in u.shape[:2]:
        return u.clone(), x.clone()
    with in_full(u):
        v = in_precision(u)
        states = _states(system, strategy, v, x.to(v.dtype), rate, dt)
        return system.read(states, v).to(u.dtype), states[:, -1].to(x.dtype)


def step(
    system: Mimo, u: Tensor, x: Tensor, rate: Gap | None = None, dt: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """One sample u (B, H), dt (B) or None, after the state x (B, 2P)."""
    assert not system.both_ways, "a core that runs both ways has no state"
    with in_full(u):
        v = in_precision(u)
        modes, inputs = _drive(system, v, rate, dt)
        after = modes.step.next(x.to(v.dtype), inputs)
        return system.read(after, v).to(u.dtype), after.to(x.dtype)


def _states(system: Mimo, strategy: str, u: Tensor, x: Tensor, rate: Gap | None, dt: Tensor | None) -> Tensor:
    """The state at every time, (B, L, 2P), or those of both directions, (B, L, 4P)."""
    modes, v = _drive(system, u, rate, dt)
    if not system.both_ways:
        return run(strategy, modes, v, x)
    both, batch = run(strategy, modes, v, torch.cat([x, x])), u.shape[0]
    return torch.cat([both[:batch], both[batch:].flip(1)], 2)


def _drive(system: Mimo, u: Tensor, rate: Gap | None, dt: Tensor | None) -> tuple[Modes, Tensor]:
    """The modes, and B u (..., 2P) that drives them, for u (..., H) and gaps dt (...).

    Where the system runs both ways they are those of a batch of 2 B, of which the second half runs backwards.
    """
    if dt is None:
        modes, b = system.sampled(rate, u.dtype)
        return modes, mirrored(u @ b) if system.both_ways else u @ b
    v = u @ system.b.to(u.dtype)
    if system.both_ways:
        v = mirrored(v)
        dt = torch.cat([dt, torch.cat([dt[:, 1:], torch.ones_like(dt[:, :1])], 1).flip(1)])
    gaps = dt.to(u.dtype) * (1.0 if rate is None else rate)
    a, scale = system.sample(gaps.unsqueeze(-1), u.dtype)
    return Varying(a), times(scale, v)


def mirrored(v: Tensor) -> Tensor:
    """(B, L, ...) -> (2 B, L, ...), the same backwards behind it."""
    return torch.cat([v, v.flip(1)])


def times(a: Tensor, b: Tensor) -> Tensor:
    """The complex products of two real vectors [Re; Im]."""
    return Diagonal.from_vectors(a).apply(b)


def driving_of(stored: Tensor) -> Tensor:
    """B (P, H, 2) -> (H, 2P) with u B = [Re B u; Im B u]."""
    return torch.cat(stored.unbind(-1)).t()


def reading_of(stored: Tensor, ways: int, copies: int) -> Tensor:
    """C (H, P or 2P, 2) -> (2P or 4P, H) with x C = copies Re(C x), for the states of one or two `ways`, one by one."""
    re, im = stored.unbind(-1)
    parts = zip(re.chunk(ways, 1), im.chunk(ways, 1), strict=True)
    return copies * torch.cat([torch.cat([a, -b], 1) for a, b in parts], 1).t()
