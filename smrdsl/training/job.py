"""A training as it is told: the data, the settings and the folder; and one that is ready, whose data was read and fits.

A job can be written as JSON, which is how the processes of one training are told what to do. Needs no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from smrdsl.core.errors import SmrError
from smrdsl.data.contract import Array, Data, Request
from smrdsl.data.registry import find, load
from smrdsl.graph.graph import Graph
from smrdsl.training.fitting import Task, refuse_kind, task_of
from smrdsl.training.settings import Settings

Tell = Callable[[str], None]
CHECKPOINTS, PACKAGE, METRICS, LOGS = "checkpoints", "model", "metrics.json", "logs"
"""What a training leaves in its folder."""
LAST, BEST = "last.ckpt", "best.ckpt"
SHARE = 20
"""How many evaluations a training has at least, where passes are long."""


class Stopped(SmrError):
    """One was asked to stop, and the last checkpoint is written."""


def silent(message: str) -> None:
    """Tells nobody."""


class Job(BaseModel):
    """What to train a model on, and where to put it."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    data: str
    options: dict[str, Any] = {}
    length: int | None = None
    out: str | None = None
    resume: bool = False
    quiet: bool = False
    settings: Settings = Settings()
    package: str | None = None
    """For a process of several: the model to begin with."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A job with the model's graph, and data that fits it."""

    job: Job
    graph: Graph
    data: Data
    task: Task

    @property
    def out(self) -> Path:
        return folder(self.graph, self.job)

    @property
    def checkpoints(self) -> Path:
        return self.out / CHECKPOINTS

    @property
    def per_pass(self) -> int:
        """Batches in a pass over the training part."""
        return max(1, len(self.data.train) // self.job.settings.batch)

    @property
    def steps(self) -> int:
        """Updates of the weights."""
        s = self.job.settings
        return s.max_steps or max(1, (s.epochs or 10) * self.per_pass // s.accumulate)

    @property
    def evaluate_every(self) -> int:
        """Batches between evaluations, a multiple of those of an update, and not more than there are."""
        s = self.job.settings
        total = self.steps * s.accumulate
        wanted = min(s.evaluate_every or min(self.per_pass, max(1, total // SHARE)), total)
        return -(-wanted // s.accumulate) * s.accumulate

    def identity(self, text: str) -> dict[str, Any]:
        """What a checkpoint must have in common with a training that takes it up; `text` is the whole spec."""
        spec = hashlib.sha256(f"{text}{sorted(self.graph.arguments.items())}".encode()).hexdigest()
        parts = self.data.parts.values()
        arrays = [a for part in parts for a in (part.u, part.y, part.t, part.lengths) if a is not None]
        return {
            "model": self.graph.name,
            "spec": spec,
            "data": self.data.name,
            "sequences": [len(part) for part in parts],
            "shape": list(self.data.train.u.shape[1:]),
            "content of the data": [_figure(array) for array in arrays],
        }


def _figure(array: Array) -> str:
    """Of numbers, one that others would not have, but for what another machine rounds otherwise."""
    rows = array.reshape(len(array), -1)
    return f"{np.arange(1, len(rows) + 1) @ np.einsum('ij,ij->i', rows, rows, dtype=float):.6g}"


def folder(graph: Graph, job: Job) -> Path:
    """Where a training leaves what it makes."""
    return Path(job.out or f"build/train/{graph.name}")


def prepare(graph: Graph, job: Job, tell: Tell = silent) -> Ready:
    """Read the data of a job, and hold it against the model. Raises `SmrError`."""
    check_folder(folder(graph, job), resume=job.resume)
    node = graph.node(graph.input)
    request = Request(length=job.length or graph.length, vocab=node.type.vocab, tell=tell)
    refuse_kind(graph, find(job.data)[0])
    data = load(job.data, request, job.options)
    task = task_of(graph, data)
    if data.train.t is not None and not graph.timed:
        tell(f"note: the time stamps of {data.name} are unused: {node.location}: {node.location.text} is not timed")
    if job.settings.augment is not None and (data.train.u.dtype.kind != "f" or data.train.u.ndim != 3):
        raise SmrError(f"{data.name} has no signals that could be sampled otherwise: leave --augment out")
    world = job.settings.devices * job.settings.nodes
    if len(data.train) < world:
        raise SmrError(f"{data.name} has {len(data.train)} sequences to train on, too few for {world} devices")
    return Ready(job, graph, data, task)


def check_folder(out: Path, *, resume: bool) -> None:
    """A training is gone on with, or begun where there is nothing that it could spoil. Raises `SmrError`."""
    last = out / CHECKPOINTS / LAST
    if out.exists() and not out.is_dir():
        raise SmrError(f"{out} is a file, not a folder")
    if resume and not last.exists():
        raise SmrError(f"{last}: there is no checkpoint to resume from")
    if last.exists() and not resume:
        raise SmrError(f"{out} holds a training already: --resume goes on with it, --out names another folder")
    there = {path.name for path in out.iterdir() if not path.name.startswith(".")} if out.exists() else set()
    strange = there - {CHECKPOINTS, PACKAGE, METRICS, LOGS} if CHECKPOINTS in there else there
    if strange and not resume:
        raise SmrError(f"{out} holds {min(strange)}, which no training left there: --out names another folder")


def write_json(path: Path, found: dict[str, Any]) -> None:
    """Write what a program reads, whole or not at all."""
    from smrdsl.core.write import write_whole

    write_whole(path, (json.dumps(found, indent=1) + "\n").encode())
