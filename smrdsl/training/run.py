"""One process of a training: Lightning's loop around the model, the best weights, their score, and the package."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import DDPStrategy

from smrdsl.core.errors import SmrError
from smrdsl.data.baselines import baselines
from smrdsl.data.grids import grid
from smrdsl.runtime.model import CompiledModel
from smrdsl.training.alone import alone, written
from smrdsl.training.batches import Batches, Reader, Rows
from smrdsl.training.job import BEST, LAST, LOGS, METRICS, PACKAGE, Ready, Stopped, write_json
from smrdsl.training.keep import Keep, Patience, WholeFiles, check_same, read_checkpoint, weights
from smrdsl.training.learner import TOTALS, Learner
from smrdsl.training.memory import out_of_memory
from smrdsl.training.progress import Show

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "64": "64-true"}
LOG_EVERY = 10


@dataclass(frozen=True)
class Trained:
    """A model with its best weights, what it reached, and the folder in which all of it lies."""

    model: CompiledModel
    metrics: dict[str, Any]
    folder: Path


def run(model: CompiledModel, ready: Ready, rank: int = 0) -> Trained | None:
    """Train a model in this process. Raises `SmrError`; only the first process of several leaves something."""
    first = contextlib.nullcontext() if rank else alone(ready.out)
    with first, _quiet_lightning(), out_of_memory(model, ready.job.settings), written(ready.out):
        started = time.monotonic()
        steps, keep = _fit(model, ready, rank)
        if rank:
            return None
        best = read_checkpoint(ready.checkpoints / BEST)
        model.load_state_dict(weights(best))
        model.cpu().eval().save(ready.out / PACKAGE)
        metrics = _judged(model, ready) | {
            "steps": steps,
            "best_step": keep.best_step,
            "seconds": round(time.monotonic() - started, 3),
        }
        write_json(ready.out / METRICS, metrics)
        return Trained(model, metrics, ready.out)


def _fit(model: CompiledModel, ready: Ready, rank: int) -> tuple[int, Keep]:
    """Run Lightning's loop from the start or the last checkpoint; how many updates, and what kept count of them."""
    job, s, world = ready.job, ready.job.settings, ready.job.settings.devices * ready.job.settings.nodes
    identity = ready.identity(model.text)
    last = ready.checkpoints / LAST
    if job.resume:
        check_same(read_checkpoint(last), identity, s, last)
    read = Reader.of(ready.data, timed=ready.graph.timed, double=s.precision == "64")
    on = None if s.augment is None else grid(s.augment)
    train = Batches(ready.data.train, read, batch=s.batch, total=ready.steps * s.accumulate, seed=s.seed, grid=on,
                    rank=rank, world=world)  # fmt: skip
    valid = Rows(ready.data.valid, read, s.batch, rank, world)
    if rank == 0:
        for half in ready.checkpoints.glob(".*.ckpt.*"):  # of a process that was killed while it wrote
            half.unlink()
    keep = Keep(ready.checkpoints, ready.task, s, identity, ready.evaluate_every, train.total)
    learner = Learner(model, ready.task, s, ready.steps)
    trainer = _trainer(ready, keep)
    with _asked_to_stop(keep, last):
        trainer.fit(learner, train, valid, ckpt_path=str(last) if job.resume else None)
    return trainer.global_step, keep


def _trainer(ready: Ready, keep: Keep) -> Trainer:
    """One long pass of Lightning's holds all of ours: `Batches` counts them."""
    s, task = ready.job.settings, ready.task
    callbacks: list[Any] = [Show(ready.steps, quiet=ready.job.quiet), keep]
    if s.patience:
        mode = "max" if task.rising else "min"
        stop = Patience(f"valid/{task.metric}", patience=s.patience, mode=mode, check_on_train_epoch_end=False)
        callbacks.insert(0, stop)
    with _no_device(s.device):
        return _lightning(ready, callbacks)


@contextlib.contextmanager
def _no_device(name: str) -> Iterator[None]:
    """Tell as the user's mistake that there is no such device here."""
    try:
        yield
    except (MisconfigurationException, ValueError, ImportError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise SmrError(f"cannot train on the device `{name}`: {reason}") from None


def _lightning(ready: Ready, callbacks: list[Any]) -> Trainer:
    s = ready.job.settings
    return Trainer(
        accelerator=s.device,
        devices=s.devices,
        num_nodes=s.nodes,
        strategy=_strategy(s.devices * s.nodes, s.timeout),
        precision=PRECISIONS[s.precision],  # type: ignore[arg-type]
        max_steps=ready.steps,
        accumulate_grad_batches=s.accumulate,
        gradient_clip_val=None,
        val_check_interval=ready.evaluate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=LOG_EVERY,
        callbacks=callbacks,
        logger=_logger(s.log, ready.out),
        plugins=[WholeFiles()],
        default_root_dir=ready.out,
        enable_model_summary=False,
        use_distributed_sampler=False,
        benchmark=False,
    )


def _strategy(world: int, timeout: float) -> Any:
    return DDPStrategy(timeout=timedelta(seconds=timeout)) if world > 1 else "auto"


def _logger(kind: str, out: Path) -> Any:
    if kind == "tensorboard":
        try:
            from lightning.pytorch.loggers import TensorBoardLogger

            return TensorBoardLogger(out, name=LOGS)
        except ImportError:
            raise SmrError('--log tensorboard needs it: pip install "smrdsl[train]"') from None
    return CSVLogger(out, name=LOGS) if kind == "csv" else False


@contextlib.contextmanager
def _asked_to_stop(keep: Keep, last: Path) -> Iterator[None]:
    """Ctrl-C and a friendly kill stop at the next update, with a checkpoint; a second one at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: Any) -> None:
        if keep.stop:  # Lightning would take a KeyboardInterrupt for its own affair
            raise Stopped(f"stopped at once{f'; --resume goes on from {last}' if last.exists() else ''}")
        keep.stop = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Lightning tells much of what we chose on purpose; its errors still come through."""
    logs = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    levels = [log.level for log in logs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for log in logs:
            log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for log, level in zip(logs, levels, strict=True):
                log.setLevel(level)


def _judged(model: CompiledModel, ready: Ready) -> dict[str, Any]:
    """What the best weights reach on the parts that were not trained on, and what is reached without the model."""
    s = ready.job.settings
    read = Reader.of(ready.data, timed=ready.graph.timed, double=s.precision == "64")
    learner = Learner(model, ready.task, s, ready.steps)
    return {
        "model": ready.graph.name,
        "data": ready.data.name,
        "task": ready.task.kind,
        "metric": ready.task.metric,
        "unit": ready.data.unit,
        "parameters": sum(p.numel() for p in model.parameters()),
        "sequences": {name: len(part) for name, part in ready.data.parts.items()},
        "valid": _score(learner, Rows(ready.data.valid, read, s.batch)),
        "test": _score(learner, Rows(ready.data.test, read, s.batch)),
        "baselines": [{"name": b.name, "metric": b.metric, "value": b.value} for b in baselines(ready.data)],
        "settings": s.model_dump(),
    }


def _score(learner: Learner, rows: Rows) -> dict[str, float]:
    totals = torch.zeros(TOTALS, dtype=torch.float64)
    with torch.no_grad():
        for batch in rows:
            losses, right = learner.losses(batch)
            totals += torch.stack([losses.double().sum(), torch.tensor(losses.numel()).double(), right.double()])
    return learner.means(totals)


def rank_here() -> int:
    """The number of this process, as torchrun, a cluster or our own launcher tell it."""
    for name in ("RANK", "SLURM_PROCID"):
        if name in os.environ:
            return int(os.environ[name])
    return 0
