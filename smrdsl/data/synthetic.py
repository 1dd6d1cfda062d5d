"""next, osc, mg, energy: the signals of the study (`signals.py`), as sequences with a target at every sample.

Every sequence has curves of its own, which follow from the seed and its number, so that it can be sampled on any grid.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from smrdsl.data.contract import Array, Data, DataSet, Options, Part, Request
from smrdsl.data.signals import TASKS, Curves, Task

LENGTH = 128


class SignalOptions(Options):
    train: int = Field(default=1024, gt=0, description="How many sequences there are to train on.")
    held_out: int = Field(default=256, gt=0, description="How many there are in each of the other two parts.")
    seed: int = Field(default=0, ge=0, description="Of the curves.")


def curves(task: Task, seed: int, part: int, row: int) -> Curves:
    """The curves of one sequence."""
    return task.curves(np.random.default_rng((seed, part, row)), 1, held_out=part > 0)


def make(task: Task, options: SignalOptions, request: Request) -> Data:
    """Sequences on the even grid, with the exact curves behind them."""
    length = request.length or LENGTH

    def part(number: int, size: int) -> Part:
        def resample(rows: Array, times: Array) -> tuple[Array, Array]:
            drawn = [curves(task, options.seed, number, int(row)) for row in rows]
            u = [c.value(t[None]) for c, t in zip(drawn, times, strict=True)]
            y = [c.target(t[None]) for c, t in zip(drawn, times, strict=True)]
            return (
                np.concatenate(u)[..., None].astype(np.float32),
                np.concatenate(y)[..., None].astype(np.float32),
            )

        even = np.tile(np.arange(length, dtype=float), (size, 1))
        return Part(*resample(np.arange(size), even), resample=resample)

    ahead = task.name in ("next", "mg")
    return Data(task.name, part(0, options.train), part(1, options.held_out), part(2, options.held_out), ahead=ahead)


DATASETS = tuple(
    DataSet(
        task.name,
        f"Signals of the study: {task.summary}.",
        lambda options, request, task=task: make(task, options, request),
        SignalOptions,
    )
    for task in TASKS.values()
)
