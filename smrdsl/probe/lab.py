"""Lab: the trained models that the parts look at, each made once, and the inputs that they are asked on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from smrdsl.core.errors import SmrError
from smrdsl.data.grids import grid
from smrdsl.data.signals import Task
from smrdsl.probe.fit import TEST, Batch, Recipe, draw, fit
from smrdsl.probe.subject import SMR, Fit, Subject, clocked, plain, take_over, trained_weights
from smrdsl.runtime.model import CompiledModel

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
    """A model in its forms, all with the same weights: told nothing, told the gaps, and with SMR whose gates are told
    them too; None where the model has no such form."""

    blind: CompiledModel
    timed: CompiledModel | None
    stepped: CompiledModel | None = None


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
        if self.subject.weights is not None:
            take_over(model, trained_weights(self.subject))
        if self.trains:
            self.meter.start(f"training {variant}, seed {seed}")
            fit(model, self.task, seed, self.recipe, self.fit.outputs, self.meter.advance)
        return Trained(
            self._form(variant, model, False),
            self._timed(variant, model, None),
            self._timed(variant, model, True) if variant == SMR and not model.graph.timed else None,
        )

    def _timed(self, variant: str, model: CompiledModel, stepped: bool | None) -> CompiledModel | None:
        try:
            return self._form(variant, model, True, stepped)
        except SmrError as error:
            self.why_untimed = str(error)
            return None

    def _form(self, variant: str, model: CompiledModel, timed: bool, stepped: bool | None = None) -> CompiledModel:
        """A form of a model, with its weights."""
        form = plain(clocked(self.subject.variant(variant), timed, stepped), 0)
        take_over(form, model.state_dict())
        return form.eval()

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
