"""Follow: the states of a model's cores over time on two grids, and how far they part.

A model runs once on each grid with hooks on its cores, which keep what went into them; each core is then stepped
through both inputs at once. So a deviation is that of the core's own state under the input that it really had.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from smrdsl.graph.graph import Graph
from smrdsl.probe.subject import cores
from smrdsl.probe.systems import Core, System, core_of, measure
from smrdsl.runtime.model import CompiledModel

Streams = list[Tensor]


@dataclass
class Seen:
    """What went into a layer: its streams (B, L, width), and the gaps (B, L) or None."""

    streams: Streams
    gaps: Tensor | None


@contextmanager
def watching(model: nn.Module, keys: list[str]) -> Iterator[dict[str, Seen]]:
    """Within it, what goes into these layers is kept in the dict, in float64."""
    kept: dict[str, Seen] = {}

    def hook(key: str) -> Any:
        def keep(layer: nn.Module, streams: tuple[Tensor, ...], clock: dict[str, Any]) -> None:
            gaps = clock.get("dt")
            kept[key] = Seen([s.detach().double() for s in streams], None if gaps is None else gaps.double())

        return keep

    handles = [model.get_submodule(key).register_forward_pre_hook(hook(key), with_kwargs=True) for key in keys]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def seen_by(model: CompiledModel, keys: list[str], u: Tensor, gaps: Tensor | None) -> tuple[Tensor, dict[str, Seen]]:
    """The output of a model, and what went into its layers."""
    model.eval()
    with watching(model, keys) as kept:
        y = model(u, gaps) if model.graph.timed else model(u)
    return y, kept


@dataclass
class Parting:
    """How far the states of one core part. Sequences B, times L.

    deviation, size (L, B): ||x' - x|| and ||x||. bound (L, B): what ||x' - x|| cannot pass; empty where there is none.
    held (L - 1): the share of modes and sequences where the event-trigger condition holds, from the second sample on;
    empty where there are no modes.
    error (L, B): the largest |u' - u| over the channels. factors: |A| of a selective core, its least, median and most.
    """

    key: str
    operator: str
    deviation: Tensor
    size: Tensor
    bound: Tensor
    held: Tensor
    error: Tensor
    factors: tuple[float, float, float] | None = None
    closed: float | None = None
    """b kappa sup|eps| / (1 - rho), what Proposition A bounds all times by."""

    @property
    def relative(self) -> Tensor:
        """||x' - x|| over the root mean square of ||x|| of its sequence, (L, B)."""
        return self.deviation / self.size.square().mean(0).sqrt().clamp_min(1e-300)


@dataclass
class Modelled:
    """The cores of a model with their systems."""

    model: CompiledModel
    cores: dict[str, Core] = field(default_factory=dict)
    systems: dict[str, System | None] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    """Cores without a state to follow."""

    @classmethod
    def of(cls, model: CompiledModel) -> Modelled:
        g: Graph = model.graph
        made = cls(model)
        for key in cores(g):
            core = core_of(model, g, key)
            if core is None:
                made.unknown.append(key)
                continue
            made.cores[key] = core
            made.systems[key] = measure(core)
        return made

    def part(self, u: Tensor, moved: Tensor, gaps: Tensor | None, moved_gaps: Tensor | None) -> list[Parting]:
        """How far the states of every core part between two inputs of the model."""
        keys = [*self.cores]
        _, clean = seen_by(self.model, keys, u, gaps)
        _, other = seen_by(self.model, keys, moved, moved_gaps)
        return [follow(self.cores[k], self.systems[k], clean[k], other[k]) for k in keys]


@torch.no_grad()
def follow(core: Core, system: System | None, clean: Seen, moved: Seen) -> Parting:
    """Step a core through both inputs at once."""
    batch, length = clean.streams[0].shape[:2]
    both = [torch.cat(pair) for pair in zip(clean.streams, moved.streams, strict=True)]
    gaps = None if clean.gaps is None or moved.gaps is None else torch.cat([clean.gaps, moved.gaps])
    judge = _Selective(core) if system is None else _Steady(system, clean, moved, known=gaps is None)
    x, rest = core.rest(2 * batch), core.rest(2 * batch)
    rows: dict[str, list[Tensor]] = {"deviation": [], "size": [], "bound": [], "held": []}
    for t in range(length):
        u = [s[:, t] for s in both]
        clock = {} if gaps is None else {"dt": gaps[:, t]}
        driven = core.step(u, rest, **clock)
        bound, held = judge(t, u, x, driven, clock)
        x = core.step(u, x, **clock)
        rows["deviation"].append(_norm(x[batch:] - x[:batch]))
        rows["size"].append(_norm(x[:batch]))
        rows["bound"] += bound
        rows["held"] += held
    stacked = {name: torch.stack(row) if row else torch.empty(0) for name, row in rows.items()}
    error = (moved.streams[0] - clean.streams[0]).abs().amax(2).T
    return Parting(core.key, core.operator, **stacked, error=error, factors=judge.factors(), closed=judge.closed())


def _norm(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1)


class _Steady:
    """Bound and event-trigger condition of a time-invariant core.

    |e_t| <= sum_k ||A^k B|| |eps_{t - k}|, channel by channel in a bank. With gaps A moves, and there is neither.
    """

    def __init__(self, system: System, clean: Seen, moved: Seen, *, known: bool) -> None:
        self.system, self.known = system, known
        self.error = (moved.streams[0] - clean.streams[0]).abs()
        self.response = system.response(self.error.shape[1]) if known else torch.empty(0)

    def __call__(
        self, t: int, u: Streams, x: Tensor, driven: Tensor, clock: dict[str, Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        if not self.known:
            return [], []
        past = torch.einsum("kc,bkc->bc", self.response[: t + 1].flip(0), self.error[:, : t + 1])
        bound = past.norm(dim=1) if self.system.core.bank else past.sum(1)
        held = [self._held(x, driven)] if self.system.diagonal and t > 0 else []
        return [bound], held

    def _held(self, x: Tensor, driven: Tensor) -> Tensor:
        """The share of |b eps| < (1 - |lambda|) |x|, over the driven modes, along the moved states."""
        half = x.shape[0] // 2
        pushed = self.system.modes(driven[half:] - driven[:half]).abs()
        kept = (1 - self.system.decay) * self.system.modes(x[half:]).abs()
        return (pushed < kept)[:, self.system.driven].double().mean()

    def factors(self) -> None:
        return None

    def closed(self) -> float | None:
        """Of a bank each system is driven by one number, else all of them by all channels."""
        s = self.system
        if not self.known or not s.diagonal or float(s.radius.max()) >= 1:
            return None
        largest = self.error.max() if s.core.bank else self.error.norm(dim=2).max()
        return float(s.gain.norm() * largest)


class _Selective:
    """The same where A moves with the input, by number: |e_t| <= |A'_t| |e_{t-1}| + |(A'_t - A_t) x + v' - v|."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.usable = core.depth == len(core.shape)
        self.bound: Tensor | None = None
        self.seen: list[Tensor] = []

    def __call__(
        self, t: int, u: Streams, x: Tensor, driven: Tensor, clock: dict[str, Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        if not self.usable:
            return [], []
        ones = torch.ones_like(x)
        a = self.core.step(u, ones, **clock) - driven
        half = x.shape[0] // 2
        pushed = ((a[half:] - a[:half]) * x[:half] + driven[half:] - driven[:half]).abs()
        before = torch.zeros_like(pushed) if self.bound is None else self.bound
        self.bound = a[half:].abs() * before + pushed
        self.seen.append(a[half:].abs().flatten())
        held = [(pushed < (1 - a[half:].abs()) * x[half:].abs()).double().mean()] if t > 0 else []
        return [_norm(self.bound)], held

    def factors(self) -> tuple[float, float, float] | None:
        if not self.seen:
            return None
        all_of_them = torch.cat(self.seen)
        return float(all_of_them.min()), float(all_of_them.median()), float(all_of_them.max())

    def closed(self) -> None:
        return None
