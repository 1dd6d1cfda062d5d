"""What one sees of a training, on standard error: a bar on a terminal, a line for each evaluation elsewhere."""

from __future__ import annotations

import sys
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

COLUMNS = ("training", "step {task.completed:,.0f} of {task.total:,.0f}", "{task.fields[told]}")


def spoken(name: str) -> str:
    """A metric as a person says it."""
    return name.replace("_", " ")


class Show(ProgressBar):
    """A bar of rich, of the updates that are done."""

    def __init__(self, steps: int, *, quiet: bool = False) -> None:
        super().__init__()
        self.steps, self.quiet = steps, quiet
        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        self.task: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.quiet or not self.console.is_terminal or not trainer.is_global_zero:
            return
        first, done, told = (TextColumn(text) for text in COLUMNS)
        self.bar = Progress(first, BarColumn(), done, told, TimeRemainingColumn(), console=self.console)
        self.task = self.bar.add_task("train", total=self.steps, completed=trainer.global_step, told="")
        self.bar.start()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.bar is not None:
            metric = pl_module.task.metric
            held = f"  held out: {spoken(metric)} {pl_module.told[metric]:.4g}" if pl_module.told else ""
            told = f"loss {pl_module.last_loss:.3f}{held}"
            self.bar.update(self.task, completed=trainer.global_step, told=told)

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        if self.bar is None and not self.quiet and trainer.is_global_zero:
            told = "".join(f"  {spoken(name)} {value:.4g}" for name, value in pl_module.told.items())
            line = f"step {trainer.global_step} of {self.steps}: loss {pl_module.last_loss:.4g}; held out:{told}"
            print(line, file=sys.stderr, flush=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def disable(self) -> None:
        """Asked by Lightning of all processes but the first."""
        self.quiet = True
