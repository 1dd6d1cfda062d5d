"""Checkpoints: the last one and the best one, each written whole or not at all, read as data.

`last.ckpt` is written at every evaluation, after every `save_every` updates, and when one is asked to stop; `best.ckpt`
at every evaluation that is better than all before. A checkpoint says of which spec, data and settings it is.
"""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping

from smrdsl.core.errors import SmrError
from smrdsl.core.write import write_whole
from smrdsl.training.fitting import Task
from smrdsl.training.job import BEST, LAST, Stopped
from smrdsl.training.settings import Settings

KEY = "smrdsl"
PARTS = {KEY, "state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks"}
ODD = "it was cut off, or something else wrote it; without the file a training begins anew"


class CheckpointError(SmrError):
    """A checkpoint that cannot be read, or that belongs to another model."""


class WholeFiles(TorchCheckpointIO):
    """Checkpoints that are there or not, whatever happens while they are written."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        out = io.BytesIO()
        torch.save(checkpoint, out)
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, out.getvalue())

    def load_checkpoint(self, path: Any, *unused: Any, **also: Any) -> dict[str, Any]:
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of ours, on the CPU. Runs nothing of it. Raises `CheckpointError`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception:  # a broken archive has many ways to fail, and torch's advice is to trust it
        raise CheckpointError(f"{path} is no checkpoint that can be read: {ODD}") from None
    if not isinstance(found, dict) or not PARTS <= found.keys():
        raise CheckpointError(f"{path} is no checkpoint of smrdsl train: {ODD}")
    return found


def weights(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The model's."""
    return {name.removeprefix("model."): tensor for name, tensor in checkpoint["state_dict"].items()}


def check_same(checkpoint: dict[str, Any], identity: dict[str, Any], settings: Settings, path: Path) -> None:
    """Raise `CheckpointError` unless it was written by a training of this model and data with these settings."""
    try:
        about = json.loads(checkpoint[KEY])
        earlier, before = dict(about["identity"]), Settings.model_validate(about["settings"])
    except (ValueError, TypeError, KeyError):
        raise CheckpointError(f"{path} is of another version of smrdsl; train into another folder") from None
    for name, now in identity.items():
        if (then := earlier.get(name)) != now:
            told = f": then {then}, now {now}" if name in ("model", "data", "sequences") else ""
            raise CheckpointError(f"{path} belongs to another {name}{told}; train into another folder")
    differing = settings.differing(before)
    if differing:
        told = ", ".join(f"{name} was {then}, is {now}" for name, (then, now) in differing.items())
        raise CheckpointError(f"{path} cannot be taken up with other settings: {told}")


class Keep(Checkpoint):
    """Writes checkpoints, and stops where that is asked for.

    Batches at whose end there is an evaluation are left to that: a checkpoint between the two would lose it.
    """

    def __init__(
        self, folder: Path, task: Task, settings: Settings, identity: dict[str, Any], evaluate: int, total: int
    ) -> None:
        self.folder, self.task, self.every, self.patience = folder, task, settings.save_every, settings.patience
        self.evaluate, self.total = evaluate, total
        self.about = json.dumps({"identity": identity, "settings": settings.model_dump()})
        self.best, self.best_step, self.stop, self.ended = math.nan, 0, False, False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = self.ended

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = float(trainer.callback_metrics[f"valid/{self.task.metric}"])
        self.ended = trainer.should_stop
        if math.isnan(self.best) or (value > self.best if self.task.rising else value < self.best):
            self.best, self.best_step = value, trainer.global_step
            trainer.save_checkpoint(self.folder / BEST)
        trainer.save_checkpoint(self.folder / LAST)
        if self._asked(trainer):
            raise self._stopped(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        done = batch_idx + 1
        if done == self.total:
            trainer.should_stop = True  # behind it Lightning evaluates, whatever the interval
        if done % trainer.accumulate_grad_batches or done % self.evaluate == 0 or done == self.total:
            return
        asked = self._asked(trainer)
        if asked or (self.every and trainer.global_step % self.every == 0):
            trainer.save_checkpoint(self.folder / LAST)
        if asked:
            raise self._stopped(trainer)

    def _asked(self, trainer: Trainer) -> bool:
        """Whether the first process was asked to stop: all stop at the same step."""
        return bool(trainer.strategy.broadcast(self.stop)) if trainer.world_size > 1 else self.stop

    def _stopped(self, trainer: Trainer) -> Stopped:
        return Stopped(f"stopped at step {trainer.global_step}; {self.folder / LAST} holds it, and --resume goes on")

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[KEY] = self.about

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_step": self.best_step, "ended": self.ended, "patience": self.patience}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Who has another patience now may go on."""
        self.best, self.best_step = state_dict["best"], state_dict["best_step"]
        self.ended = state_dict["ended"] and state_dict["patience"] == self.patience


class Patience(EarlyStopping):
    """Stops after so many evaluations without a better one; how many may be changed on the way."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict | {"patience": self.patience})
