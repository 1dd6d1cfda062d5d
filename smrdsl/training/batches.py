"""Batches: the sequences of a training in an order that follows from the seed alone, so that it can go on anywhere.

The batches of all passes are one long list; `position` says how many are done. What is drawn for a batch (its place in
the order, its sampling grid) follows from its number, not from what was drawn before. Of a batch every process takes
its share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from smrdsl.data.contract import Array, Data, Part
from smrdsl.data.grids import Grid, times

ORDER, GRID = 1, 2
"""What is drawn, so that no two draws are the same."""
Batch = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reader:
    """How the sequences of a data set become the inputs of a model: types, and gaps where it is timed."""

    timed: bool
    step: float
    double: bool = False

    @classmethod
    def of(cls, data: Data, *, timed: bool, double: bool) -> Reader:
        """The gap that counts as 1 is the middle one of the training part."""
        gaps = np.ones(1) if data.train.t is None else np.diff(data.train.t, axis=-1)
        return cls(timed, float(np.median(gaps)) if gaps.size else 1.0, double)

    def __call__(self, part: Part, rows: Array, grid: tuple[Grid, np.random.Generator] | None = None) -> Batch:
        """Tensors `u`, `y`, and `dt` and `lengths` where there are some. Rows may be none."""
        if grid is not None:
            u, y, gaps, lengths = resampled(part, rows, *grid, self.step)
        else:
            u, y, gaps = part.u[rows], part.y[rows], self._gaps(part, rows)
            lengths = None if part.lengths is None else part.lengths[rows]
        u, y, gaps, lengths = _trimmed(u, y, gaps, lengths)
        batch: Batch = {"u": self._tensor(u), "y": self._tensor(y)}
        if self.timed:
            batch["dt"] = self._tensor(gaps)
        if lengths is not None:
            batch["lengths"] = torch.from_numpy(np.ascontiguousarray(lengths, dtype=np.int64))
        return batch

    def _gaps(self, part: Part, rows: Array) -> Array:
        """Before every sample, in steps; the first has none, and counts as 1."""
        shape = part.u[rows].shape if part.u.dtype.kind != "f" else part.u[rows].shape[:-1]
        if part.t is None:
            return np.ones(shape, dtype=np.float32)
        first = np.full((*shape[:-1], 1), self.step)
        return np.concatenate([first, np.diff(part.t[rows], axis=-1)], axis=-1) / self.step

    def _tensor(self, array: Array) -> torch.Tensor:
        wanted = np.int64 if array.dtype.kind != "f" else np.float64 if self.double else np.float32
        return torch.from_numpy(np.ascontiguousarray(array, dtype=wanted))


def by_sample(y: Array) -> bool:
    """Whether there is an answer for each sample of a sequence, and not one for the whole of it."""
    return y.ndim > 1 if y.dtype.kind != "f" else y.ndim > 2


def answers(batch: Batch) -> int:
    """How many there are in a batch."""
    y = batch["y"]
    if y.dim() < (3 if y.is_floating_point() else 2):
        return len(y)
    return int(batch["lengths"].sum()) if "lengths" in batch else y.shape[0] * y.shape[1]


def _trimmed(u: Array, y: Array, gaps: Array, lengths: Array | None) -> tuple[Array, Array, Array, Array | None]:
    """Rows no longer than their longest needs, and no lengths where every row is full."""
    if lengths is None or not lengths.size:
        return u, y, gaps, None
    axis, longest = gaps.ndim - 1, int(lengths.max())
    cut = (slice(None),) * axis + (slice(longest),)
    u, gaps, y = u[cut], gaps[cut], y[cut] if by_sample(y) else y
    return u, y, gaps, None if int(lengths.min()) == longest else lengths


def resampled(
    part: Part, rows: Array, grid: Grid, rng: np.random.Generator, step: float
) -> tuple[Array, Array, Array, Array | None]:
    """Sequences as they are on another grid, with its gaps, and how much of each is known.

    Between samples they are straight lines, unless the part knows better; behind the last one nothing is known.
    """
    length = part.u.shape[-2]
    gaps = grid(rng, len(rows), length)
    at = times(gaps)
    if part.resample is not None:
        u, y = part.resample(rows, at)
        return u, y, gaps, None
    ends = length if part.lengths is None else part.lengths[rows][:, None]
    lengths = np.maximum((at <= ends - 1).sum(1), 1)
    place = np.clip(at, 0, length - 1)
    u = _between(part.u[rows], place)
    y = part.y[rows]
    if by_sample(y):
        reals = y.dtype.kind == "f"
        y = _between(y, place) if reals else np.take_along_axis(y, np.rint(place).astype(int), axis=1)
    if part.t is not None:
        t = _between(part.t[rows][..., None], place)[..., 0]
        gaps = np.maximum(np.diff(t, axis=-1, prepend=t[:, :1] - step) / step, 1e-3)
    return u, y, gaps, lengths


def _between(values: Array, place: Array) -> Array:
    """Values (b, l, c) at places (b, m) between their samples."""
    left = np.minimum(place.astype(int), max(0, values.shape[1] - 2))
    right = np.minimum(left + 1, values.shape[1] - 1)
    part = (place - left)[..., None]
    rows = np.arange(len(values))[:, None]
    return values[rows, left] * (1 - part) + values[rows, right] * part


class Batches:
    """The batches of a training part, for one of `world` processes. Lightning saves and restores `position`."""

    def __init__(
        self, part: Part, read: Reader, *, batch: int, total: int, seed: int,
        grid: Grid | None = None, rank: int = 0, world: int = 1,
    ) -> None:  # fmt: skip
        self.part, self.read, self.total, self.seed, self.grid = part, read, total, seed, grid
        self.rank, self.world = rank, world
        self.batch = min(batch, len(part) // world * world) or world
        self.position = 0

    @property
    def per_pass(self) -> int:
        """How many batches a pass has; what is left over comes in another pass, whose order is another."""
        return max(1, len(self.part) // self.batch)

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[Batch]:
        order, known = np.zeros(0, dtype=int), -1
        while self.position < self.total:
            turn, place = divmod(self.position, self.per_pass)
            if turn != known:
                order, known = np.random.default_rng((self.seed, ORDER, turn)).permutation(len(self.part)), turn
            rows = order[place * self.batch : (place + 1) * self.batch]
            number = self.position
            self.position += 1
            yield self._batch(rows, number)

    def _batch(self, rows: Array, number: int) -> Batch:
        """A process's share, and how many answers would be an even share of all in the batch.

        A grid is drawn for the whole batch by every process, so that it is the same for any number of them.
        """
        mine = slice(self.rank, None, self.world)
        if self.grid is not None:
            draw = np.random.default_rng((self.seed, GRID, number))
            whole = self.read(self.part, rows, (self.grid, draw))
            share = answers(whole) / self.world
            return {name: tensor[mine] for name, tensor in whole.items()} | {"number": number, "share": share}
        lengths = self.part.lengths
        if lengths is not None and by_sample(self.part.y):
            share = int(lengths[rows].sum()) / self.world
        else:
            share = len(rows) * (self.part.y.shape[1] if by_sample(self.part.y) else 1) / self.world
        return self.read(self.part, rows[mine]) | {"number": number, "share": share}

    def state_dict(self) -> dict[str, int]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.position = state["position"]


class Rows:
    """The batches of a part that models are judged by, in its own order."""

    def __init__(self, part: Part, read: Reader, batch: int, rank: int = 0, world: int = 1) -> None:
        self.part, self.read, self.batch, self.rank, self.world = part, read, batch, rank, world

    def __len__(self) -> int:
        return -(-len(self.part) // self.batch)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self.part), self.batch):
            rows = np.arange(start, min(start + self.batch, len(self.part)))
            yield self.read(self.part, rows[self.rank :: self.world])
