"""Systems: A and B of a core as it steps, measured in float64 and not asked for, so that any operator can be probed.

A step is affine in the state, x' = A x + v, and where the core is time-invariant v is linear in the input and A is
constant. So A is what a step makes of unit states without input, v what it makes of an input without a state. States
that do not act on one another are found by putting some to zero: a bank has a system for each channel, S5 and its kin
one for all of them, and where A is diagonal in real numbers every number is a system of its own. A core whose A moves
with its input is `selective`: it has no spectrum, but a factor for every number of its state and every sample.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from smrdsl.graph.graph import Graph

SQUARINGS = 30
"""The spectral radius of a matrix without useful eigenvectors is taken from the norm of its power 2^30."""
USEFUL = 1e4
"""Modes by eigenvectors of a higher condition tell nothing of the state."""


@dataclass(frozen=True)
class Core:
    """One core of a model: its key, operator, layer in float64, and the shape of its state without the batch."""

    key: str
    operator: str
    layer: nn.Module
    widths: tuple[int, ...]
    shape: tuple[int, ...]
    forwards: bool = False
    """Whether it is one direction of a core that runs in both."""

    def step(self, streams: list[Tensor], x: Tensor, **clock: Tensor | float) -> Tensor:
        """The state after one sample: streams (B, width), x (B, *shape)."""
        return self.layer.step(*streams, x, **clock)[1]  # type: ignore[operator]

    def silence(self, batch: int) -> list[Tensor]:
        return [torch.zeros(batch, w, dtype=torch.float64) for w in self.widths]

    def rest(self, batch: int) -> Tensor:
        return torch.zeros(batch, *self.shape, dtype=torch.float64)

    @cached_property
    def depth(self) -> int:
        """How many leading axes of the state hold systems that do not act on one another."""
        x = torch.randn(1, *self.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        base = self.step(self.silence(1), self.rest(1))
        for depth in range(len(self.shape), 0, -1):
            on = _halves(math.prod(self.shape[:depth]))
            on = on.reshape(-1, *self.shape[:depth], *[1] * (len(self.shape) - depth))
            after = self.step(self.silence(len(on)), x * on) - base
            if not bool((after * ~on).any()):
                return depth
        return 0

    @cached_property
    def selective(self) -> bool:
        """Whether A moves with the input."""
        draw = torch.Generator().manual_seed(1)
        u = [torch.randn(1, w, dtype=torch.float64, generator=draw) for w in self.widths]
        x = torch.randn(1, *self.shape, dtype=torch.float64, generator=draw)
        driven = self.step(u, x) - self.step(u, self.rest(1))
        free = self.step(self.silence(1), x) - self.step(self.silence(1), self.rest(1))
        return not torch.allclose(driven, free, rtol=1e-9, atol=1e-12)

    @cached_property
    def bank(self) -> bool:
        """Whether each channel of the one input drives a system of its own, and no other."""
        width = self.widths[0]
        if len(self.widths) != 1 or self.depth == 0 or self.shape[0] != width:
            return False
        unit = torch.eye(width, dtype=torch.float64)
        v = self.step([unit], self.rest(width)) - self.step(self.silence(1), self.rest(1))
        others = unit == 0
        return not bool(v.reshape(width, width, -1)[others].any())


def _halves(count: int) -> Tensor:
    """Masks (M, count), so that for any two numbers one mask has the first of them and not the second."""
    bits = torch.arange(max(1, (count - 1).bit_length()))[:, None]
    on = (torch.arange(count) >> bits) % 2 == 1
    return torch.cat([on, ~on])


def core_of(model: nn.Module, g: Graph, key: str) -> Core | None:
    """A core of a model in float64; None where it has no one real state to follow.

    Of a core that runs in both directions it is the forward one: its own layer made one-way, with the first half of
    what it has for two.
    """
    node, types = g.node(key), g.seen_types(key)
    params, layer = node.params, copy.deepcopy(model.get_submodule(key))
    both = bool(getattr(params, "bidirectional", False))
    if both:
        params = params.model_copy(update={"bidirectional": False})
        layer = _forwards(layer, node.op.load_layer()(params, *types))
    kept = node.op.state(params, *types)
    state = next(iter(kept.values()), None)
    if len(kept) != 1 or state is None or state.index or "T" in state.shape:
        return None
    shape = tuple(int(d) for d in state.shape)
    return Core(key, node.op.name, layer.double().eval(), tuple(t.width for t in types[0]), shape, both)


@torch.no_grad()
def _forwards(both: nn.Module, one: nn.Module) -> nn.Module:
    """`one` with the weights of the forward direction, which stands first."""
    weights = dict(both.named_parameters())
    for name, own in one.named_parameters():
        given = weights[name]
        given = given[0] if given.dim() > own.dim() else given
        own.copy_(given[tuple(slice(n) for n in own.shape)])
    return one


@dataclass(frozen=True)
class System:
    """The systems of a time-invariant core, G of n real numbers each, driven by `inputs` channels each.

    radius (G); condition (G) that of the eigenvectors; force (G) ||B||; decay, push (G, n) |lambda| and |b| of the
    modes, b = V^-1 B; turn (G, n, n) V^-1. Of a conjugate pair V has vectors of norm 1/sqrt(2), so that x = 2 Re(v z)
    and z is the complex number that cores in modes have as their state; else of norm 1.
    """

    core: Core
    radius: Tensor
    condition: Tensor
    force: Tensor
    decay: Tensor
    push: Tensor
    turn: Tensor

    @property
    def diagonal(self) -> bool:
        """Whether its modes tell something."""
        return bool(self.condition.max() < USEFUL)

    @cached_property
    def driven(self) -> Tensor:
        """The modes (G, n) that the input reaches: the others stay at 0."""
        return self.push > 1e-12 * self.push.max()

    @cached_property
    def threshold(self) -> Tensor:
        """sigma_n = (1 - |lambda_n|) / |b_n| of the driven modes, one row."""
        return (1 - self.decay[self.driven]) / self.push[self.driven]

    @cached_property
    def gain(self) -> Tensor:
        """b kappa / (1 - rho) of every system, (G), by which Proposition A bounds what bounded errors leave."""
        return self.force * self.condition / (1 - self.radius).clamp_min(0)

    def modes(self, x: Tensor) -> Tensor:
        """States (B, *shape) in the modes, (B, G, n)."""
        flat = x.reshape(x.shape[0], *self.turn.shape[:2]).to(self.turn.dtype)
        return torch.einsum("gmn,bgn->bgm", self.turn, flat)

    def response(self, length: int) -> Tensor:
        """||A^k B|| for k < length: (length, channels), over all systems that a channel drives."""
        core = self.core
        if core.bank:
            u, x = [torch.ones(1, core.widths[0], dtype=torch.float64)], core.rest(1)
        else:
            u, x = [torch.eye(core.widths[0], dtype=torch.float64)], core.rest(core.widths[0])
        norms, silent = [], core.silence(x.shape[0])
        for _ in range(length):
            x = core.step(u, x)
            u = silent
            norms.append(x.reshape(core.widths[0], -1).norm(dim=1))
        return torch.stack(norms)


@torch.no_grad()
def measure(core: Core) -> System | None:
    """The system of a core; None where it is selective, or has several input streams."""
    if len(core.widths) != 1 or core.selective:
        return None
    a = _matrices(core)
    drive = _drive(core, a.shape[0])
    size = a.shape[0], a.shape[1]
    radius, condition = torch.zeros(size[0], dtype=torch.float64), torch.ones(size[0], dtype=torch.float64)
    decay = torch.zeros(size, dtype=torch.float64)
    turn = torch.zeros(*size, size[1], dtype=torch.complex128)
    for part in parts(a):
        inside = a[:, part][:, :, part]
        values, vectors = torch.linalg.eig(inside)
        inverse, info = torch.linalg.inv_ex(vectors)
        inverse = inverse.nan_to_num()
        cond = torch.linalg.matrix_norm(vectors, 2) * torch.linalg.matrix_norm(inverse, 2)
        condition = torch.maximum(condition, torch.where(info == 0, cond, math.inf))
        scale = torch.where(values.imag == 0, 1.0, math.sqrt(2))
        turn[:, torch.tensor(part)[:, None], torch.tensor(part)] = scale[:, :, None] * inverse
        decay[:, part] = values.abs()
        own = values.abs().amax(1) if len(part) <= 2 else growth(inside)
        radius = torch.maximum(radius, own)
    push = torch.einsum("gmn,gni->gmi", turn, drive.to(turn.dtype)).norm(dim=2)
    return System(core, radius, condition, torch.linalg.matrix_norm(drive, 2), decay, push, turn)


def _matrices(core: Core) -> Tensor:
    """A of every system, (G, n, n): what a step makes of the unit states."""
    outer, inner = core.shape[: core.depth], core.shape[core.depth :]
    n, g = math.prod(inner), math.prod(outer)
    units = torch.eye(n, dtype=torch.float64).reshape(n, *[1] * len(outer), *inner).expand(n, *core.shape)
    base = core.step(core.silence(1), core.rest(1))
    return (core.step(core.silence(n), units.contiguous()) - base).reshape(n, g, n).permute(1, 2, 0)


def _drive(core: Core, systems: int) -> Tensor:
    """B of every system, (G, n, inputs), an input being a channel that it is driven by."""
    width = core.widths[0]
    u = torch.ones(1, width, dtype=torch.float64) if core.bank else torch.eye(width, dtype=torch.float64)
    v = core.step([u], core.rest(u.shape[0])) - core.step(core.silence(1), core.rest(1))
    return v.reshape(u.shape[0], systems, -1).permute(1, 2, 0)


def parts(a: Tensor) -> list[list[int]]:
    """The sets of numbers of a state that act on one another in some system of A (G, n, n)."""
    links = (a.abs().amax(0) > 1e-14 * a.abs().max()).double() + torch.eye(a.shape[1], dtype=torch.float64)
    reach = links + links.T
    while True:
        further = ((reach @ reach) > 0).double()
        if torch.equal(further, (reach > 0).double()):
            break
        reach = further
    found = dict.fromkeys(tuple(row.nonzero().flatten().tolist()) for row in reach)
    return [list(part) for part in found]


def growth(a: Tensor) -> Tensor:
    """The spectral radius of A (G, n, n) as ||A^k||^(1/k), which needs no eigenvectors; never below it."""
    log = torch.zeros(a.shape[0], dtype=torch.float64)
    for k in range(SQUARINGS + 1):
        norm = torch.linalg.matrix_norm(a).clamp_min(1e-300)
        log = log + norm.log() / 2**k
        a = a / norm[:, None, None]
        a = a @ a
    return log.exp()
