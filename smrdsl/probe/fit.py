"""Fit: a small training loop for the signal tasks, the same for every variant of a model.

AdamW without weight decay, one cycle of the learning rate, gradients clipped at 1; the loss leaves out the first
quarter of a sequence. Training draws never meet those that a model is asked on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from smrdsl.core.errors import SmrError
from smrdsl.data.grids import Grid, grid
from smrdsl.data.signals import Task, sample
from smrdsl.runtime.model import CompiledModel
from smrdsl.runtime.watch import first_not_finite

TRAIN, TEST = 1, 2
"""The first number of a seed."""
SHORTEST, LONGEST, LARGEST = 16, 1024, 4096
"""Samples of a sequence, and sequences of a batch."""
ADVICE = "try a lower learning rate (--lr)"
Tick = Callable[[int], None]
"""Told how many steps were made."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained, and on sequences of which shape."""

    steps: int = 300
    batch: int = 24
    length: int = 128
    rate: float = 5e-3
    grid: str = "clean"
    """What it is trained on, see `data/grids.py`."""

    def __post_init__(self) -> None:
        """Raises `SmrError`."""
        if self.steps < 1 or not 1 <= self.batch <= LARGEST or not SHORTEST <= self.length <= LONGEST:
            raise SmrError(
                f"the recipe has {self.steps} steps, batches of {self.batch} and a length of {self.length}: it takes a "
                f"step at least, 1 to {LARGEST} sequences, and {SHORTEST} to {LONGEST} samples"
            )
        if not 0 < self.rate < math.inf:
            raise SmrError(f"the learning rate is {self.rate}, not a number above 0")

    @property
    def burn_in(self) -> int:
        """Samples that do not count: a model has to get to know a signal first."""
        return self.length // 4


@dataclass(frozen=True, slots=True)
class Batch:
    """u (B, L, channels), y (B, L, outputs), gaps (B, L)."""

    u: Tensor
    y: Tensor
    gaps: Tensor


def draw(task: Task, where: Grid, seed: tuple[int, ...], batch: int, length: int, channels: int, outputs: int) -> Batch:
    """Sequences of so many independent signals each, and the targets of the first of them, in float32."""
    held_out = seed[0] == TEST
    parts = [sample(task, where, (*seed, c), batch, length, held_out=held_out) for c in range(channels)]
    if channels > 1:  # one clock for all channels of a sequence
        parts = [
            sample(task, _fixed(parts[0][2]), (*seed, c), batch, length, held_out=held_out) for c in range(channels)
        ]
    u, y = (np.stack([p[i] for p in parts], -1) for i in (0, 1))
    as_tensor = torch.from_numpy
    return Batch(as_tensor(u).float(), as_tensor(y[..., :outputs]).float(), as_tensor(parts[0][2]).float())


def _fixed(gaps: np.ndarray) -> Grid:
    return Grid("fixed", lambda rng, batch, length: gaps)


def fit(model: CompiledModel, task: Task, seed: int, recipe: Recipe, outputs: int, tick: Tick = lambda n: None) -> None:
    """Train a model in place. Raises `SmrError` where the loss or its gradient is no number any more."""
    channels = model.graph.node(model.graph.input).type.width
    where, skip = grid(recipe.grid), recipe.burn_in
    rate, timed = recipe.rate, model.graph.timed
    optimiser = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=recipe.steps + 1, pct_start=0.1)
    model.train()
    for step in range(recipe.steps):
        b = draw(task, where, (TRAIN, seed, step), recipe.batch, recipe.length, channels, outputs)
        inputs = {"u": b.u, "dt": b.gaps} if timed else {"u": b.u}
        loss = (model(**inputs) - b.y)[:, skip:].square().mean() / b.y.var()
        if not loss.isfinite():
            raise SmrError(f"training: the loss is {loss.item()} at step {step + 1}{_origin(model, inputs)}; {ADVICE}")
        optimiser.zero_grad()
        loss.backward()
        if not torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).isfinite():
            raise SmrError(f"training: the gradient is not finite at step {step + 1}, though the loss is; {ADVICE}")
        optimiser.step()
        schedule.step()
        tick(1)
    model.eval()


def _origin(model: CompiledModel, inputs: dict[str, Tensor]) -> str:
    """Where a number that is not finite comes from, in words."""
    found = first_not_finite(model, inputs)
    return f": {found[1]}: {found[1].text} ({found[0]}) is the first whose output is not finite" if found else ""


def error(guess: Tensor, y: Tensor, skip: int) -> float:
    """Root mean square error over the standard deviation of the target, behind the first `skip` samples."""
    guess, y = guess[:, skip:].double(), y[:, skip:].double()
    return float((guess - y).square().mean().sqrt() / y.std())
