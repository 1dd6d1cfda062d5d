"""The model with its task, as Lightning trains it: loss, optimiser, schedule, and a look at every number.

What is random in a batch (dropout) follows from the seed, the number of the batch and the process, so that a training
that is taken up again goes on as if it had not stopped.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional as F

from smrdsl.runtime.model import CompiledModel
from smrdsl.training.batches import Batch
from smrdsl.training.fitting import Task
from smrdsl.training.guard import bad_gradient, bad_loss
from smrdsl.training.settings import Settings

TOTALS = 3
"""Of an evaluation: the sum of losses, how many answers, how many of them right."""


class Learner(LightningModule):
    """A model that learns a task."""

    def __init__(self, model: CompiledModel, task: Task, settings: Settings, steps: int) -> None:
        super().__init__()
        self.model, self.task, self.settings, self.steps = model, task, settings, steps
        self.totals = torch.zeros(TOTALS, dtype=torch.float64)
        self.last_loss = math.nan
        self.told: dict[str, float] = {}

    def training_step(self, batch: Batch, index: int) -> Tensor:
        torch.manual_seed(_mixed(self.settings.seed, batch["number"], self.global_rank))
        losses, _ = self.losses(batch)
        loss = losses.sum() / batch["share"]
        self.last_loss = loss.item()
        if not math.isfinite(self.last_loss):
            seed = _mixed(self.settings.seed, batch["number"], self.global_rank)
            raise bad_loss(self.model, inputs(batch), self.last_loss, self.global_step + 1, seed)
        if index % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self.log("train/loss", loss)
            self.log("lr", self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        losses, right = self.losses(batch)
        if not torch.isfinite(losses).all():
            raise bad_loss(self.model, inputs(batch), float(losses.sum()), self.global_step, held_out=True)
        counts = (losses.double().sum(), losses.numel(), right)
        self.totals += torch.stack([torch.as_tensor(c, dtype=torch.float64).cpu() for c in counts])

    def on_validation_epoch_start(self) -> None:
        self.totals = torch.zeros(TOTALS, dtype=torch.float64)

    def on_validation_epoch_end(self) -> None:
        whole = self.trainer.strategy.reduce(self.totals.to(self.device), reduce_op="sum")
        self.told = self.means(torch.as_tensor(whole))
        for name, value in self.told.items():
            self.log(f"valid/{name}", torch.tensor(value, dtype=torch.float64))

    def means(self, totals: Tensor) -> dict[str, float]:
        """The metrics of the sums of an evaluation."""
        loss, count, right = totals.tolist()
        return self.task.metrics(loss / max(count, 1), right / max(count, 1))

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss of every answer in a batch, as one row, and how many are right."""
        y, out = batch["y"], self.model(**inputs(batch))
        counted = None
        if "lengths" in batch and out.dim() == 3:
            counted = torch.arange(out.shape[1], device=out.device) < batch["lengths"][:, None]
        if self.task.kind == "reals":
            losses, right = (out - y).square().mean(-1), out.new_zeros(())
        else:
            losses = F.cross_entropy(out.flatten(0, -2), y.flatten(), reduction="none").view(y.shape)
            right = out.argmax(-1) == y
            right = (right if counted is None else right[counted]).sum()
        return (losses.flatten() if counted is None else losses[counted]), right

    def configure_optimizers(self) -> Any:
        s = self.settings
        groups = self.model.parameter_groups(s.lr, s.weight_decay, s.ssm_lr)
        optimiser = torch.optim.AdamW(groups)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate_of(s, self.steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: Any, *unused: Any, **also: Any) -> None:
        """Lightning asks here before each update, whether anything is clipped or not."""
        tensors = [p.grad for p in self.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(tensors)
        if not torch.isfinite(norm):  # before it is clipped, which would spread it
            raise bad_gradient(self.model, self.global_step)
        if self.settings.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters(), self.settings.clip, norm)


def inputs(batch: Batch) -> dict[str, Tensor]:
    """What of a batch the model is given."""
    return {name: batch[name] for name in ("u", "dt", "lengths") if name in batch}


def rate_of(settings: Settings, steps: int) -> Callable[[int], float]:
    """The share of the learning rate at an update: up in a line, then as the schedule says, to a hundredth."""
    rising = round(settings.warmup * steps)

    def share(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        done = min(1.0, (step - rising) / max(1, steps - rising))
        falling = {"constant": 1.0, "linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}
        return max(0.01, falling[settings.schedule])

    return share


def _mixed(*numbers: int) -> int:
    """A seed of several numbers."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest(), "big") >> 1
