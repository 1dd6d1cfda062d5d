"""Streams: the same signals on the training grid and on a perturbed one, as a model reads them.

Tokens have no values between the samples. There the input of every core, behind the embedding, is moved instead, by
uniform errors of a tenth of its size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from smrdsl.probe.follow import Modelled, Parting, Seen, follow, seen_by
from smrdsl.probe.lab import Lab
from smrdsl.runtime.model import CompiledModel

JITTER = "jitter=0.3"
"""The grid on which states are followed."""
NOISE = 0.1
"""Of the root mean square of a core's input, where that is moved itself."""


@dataclass(frozen=True)
class Pair:
    """Two inputs of a model, equal for tokens, where `local` errors move the input of each core."""

    clean: Tensor
    moved: Tensor
    gaps: Tensor | None = None
    local: bool = False

    def seen(self, model: CompiledModel, keys: list[str]) -> tuple[dict[str, Seen], dict[str, Seen]]:
        """What goes into layers of a model, which is not told the gaps, without errors and with them."""
        _, clean = seen_by(model, keys, self.clean, None)
        if self.local:
            return clean, {key: noisy(seen) for key, seen in clean.items()}
        return clean, seen_by(model, keys, self.moved, None)[1]

    def parted(self, cores: Modelled, begin: Callable[[str], None] = lambda key: None) -> list[Parting]:
        """How far the states of every core part. `begin` is told which core is followed next."""
        clean, moved = self.seen(cores.model, [*cores.cores])
        found = []
        for key, core in cores.cores.items():
            begin(key)
            found.append(follow(core, cores.systems[key], clean[key], moved[key]))
        return found


def noisy(seen: Seen) -> Seen:
    """The same streams, the first with errors."""
    first, *others = seen.streams
    source = torch.Generator().manual_seed(0)
    size = NOISE * first.square().mean().sqrt()
    shift = size * (2 * torch.rand(first.shape, dtype=first.dtype, generator=source) - 1)
    return Seen([first + shift, *others], seen.gaps)


def pair_of(lab: Lab, seed: int, count: int, length: int | None = None, where: str = JITTER) -> Pair:
    """`count` sequences that no training saw, on the training grid and on another."""
    if lab.fit.tokens:
        tokens = lab.tokens(seed, 2 * count if lab.fit.paired else count, length)
        return Pair(*(_shaped(lab, tokens),) * 2, local=True)
    rows = 2 * count if lab.fit.paired else count
    clean, moved = lab.batch("clean", seed, rows, length), lab.batch(where, seed, rows, length)
    return Pair(_shaped(lab, clean.u), _shaped(lab, moved.u), moved.gaps)


def _shaped(lab: Lab, u: Tensor) -> Tensor:
    return u.unflatten(0, (-1, 2)) if lab.fit.paired else u
