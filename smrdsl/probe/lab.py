"""Lab: the trained models that the parts look at, each made once, and the inputs that they are asked on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from smrdsl.core.errors import SmrError
from smrdsl.data.grids import grid
from smrdsl.data.signals import Task
from smrdsl.probe.fit import TEST, Batch, Recipe, draw, fit
from smrdsl.probe.subject import SMR, Fit, Subject, clocked, plain, take_over
from smrdsl.runtime.model import CompiledModel

ASKING = 6
"""What asking a model on a grid takes, or following its states, in training steps."""
Tell = Callable[[str, float], None]
"""Told what is being done, and which share of all work is done."""


@dataclass
class Meter:
    """Counts work in training steps, and tells of it."""

    tell: Tell
    total: int = 1
    done: int = 0
    doing: str = ""

    def start(self, doing: str) -> None:
        self.doing = doing
        self.advance(0)

    def advance(self, steps: int) -> None:
        self.done += steps
        self.tell(self.doing, min(1.0, self.done / max(1, self.total)))


@dataclass(frozen=True)
class Trained:
    """A model in its forms, all on the same weights, each made when it is asked for."""

    lab: Lab
    variant: str
    model: CompiledModel

    @cached_property
    def blind(self) -> CompiledModel:
        """Told nothing."""
        return self._form(False)

    @cached_property
    def timed(self) -> CompiledModel | None:
        """Told the gaps; None where it cannot be, and `lab.why_untimed` says why."""
        try:
            return self._form(True)
        except SmrError as error:
            self.lab.why_untimed = str(error)
            return None

    @cached_property
    def stepped(self) -> CompiledModel | None:
        """With SMR whose gates are told the gaps too; None where that is a variant of its own, or cannot be."""
        own = self.variant == SMR and not self.model.graph.timed and self.timed is not None
        return self._form(True, gates=True) if own else None

    def _form(self, timed: bool, gates: bool = False) -> CompiledModel:
        if timed == self.model.graph.timed:
            return self.model
        form = plain(clocked(self.lab.subject.variant(self.variant), timed, gates or None), 0)
        form.load_state_dict(self.model.state_dict(), assign=True)
        return form.eval()


@dataclass
class Lab:
    """`trains`: whether models are trained here; `scores`: whether an error on the task says something."""

    subject: Subject
    fit: Fit
    task: Task
    recipe: Recipe
    seeds: int
    trains: bool
    scores: bool
    meter: Meter
    tested: int
    """Sequences that an error is taken over."""
    weights: Mapping[str, Tensor]
    """Those that were given, by name."""
    why_untimed: str = ""
    _made: dict[tuple[str, int], Trained] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        """How many models of a variant there are: weights that were given are one."""
        return 1 if self.subject.weights is not None else self.seeds

    def trained(self, variant: str, seed: int) -> Trained:
        """A variant, trained from a seed or with the weights that were given, in evaluation mode."""
        key = (variant, seed)
        if key not in self._made:
            self._made[key] = self._make(variant, seed)
        return self._made[key]

    def _make(self, variant: str, seed: int) -> Trained:
        lowered = self.subject.variant(variant)
        model = plain(lowered, seed)
        take_over(model, self.weights)
        if self.trains:
            self.meter.start(f"training {variant}, seed {seed}")
            fit(model, self.task, seed, self.recipe, self.fit.outputs, self.meter.advance)
        return Trained(self, variant, model.eval())

    def following(self, variant: str) -> Callable[[str], None]:
        """What tells which core of a variant is followed."""
        return lambda key: self.meter.start(f"following {key} of {variant}")

    # --- inputs

    def batch(self, where: str, seed: int, count: int, length: int | None = None) -> Batch:
        """Sequences that no training saw, on a grid; the curves of a seed are the same on all of them."""
        length = length or self.recipe.length
        channels = max(1, self.fit.channels)
        return draw(self.task, grid(where), (TEST, seed, 0), count, length, channels, max(1, self.fit.outputs))

    def tokens(self, seed: int, count: int, length: int | None = None) -> Tensor:
        """Random tokens, (count, length)."""
        source = torch.Generator().manual_seed(seed)
        return torch.randint(self.fit.tokens, (count, length or self.recipe.length), generator=source)
