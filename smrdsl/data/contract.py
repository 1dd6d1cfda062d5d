"""What a set of data is: three parts of sequences with what is to be learned of them, and where they come from.

A data set is a file in this folder that holds a `DATASET`, or `DATASETS` for a table of them; `registry.py` finds it.
It says how it is loaded, which options it takes, and against which figures a model of it is held. Nothing here needs
torch.

    u        (n, length, channels) reals, (n, length) tokens; of pairs (n, 2, length, ...) and (n, 2, length)
    y        (n,) classes; (n, length) the next tokens; (n, k) or (n, length, k) reals
    t        (n, length), when each sample was taken, in any unit; none where the grid is even
    lengths  (n,) or (n, 2), how much of each sequence counts; none where all of it does
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from smrdsl.core.errors import SmrError

Array = NDArray[Any]
PARTS = ("train", "valid", "test")
Resample = Callable[[Array, Array], tuple[Array, Array]]
"""Which sequences (b,), and when they are sampled (b, l) in steps of the even grid -> their u and y there."""


class DataError(SmrError):
    """Data that cannot be read, that is not in order, or that does not fit the model."""


@dataclass(frozen=True, slots=True)
class Part:
    """Sequences to train on, to choose by or to be judged by. Arrays may be mapped from disk and of small types."""

    u: Array
    y: Array
    t: Array | None = None
    lengths: Array | None = None
    resample: Resample | None = None
    """Where it is known what stands between the samples; else they are joined by straight lines."""

    def __len__(self) -> int:
        return len(self.u)

    def take(self, rows: Array | slice) -> Part:
        """Some of the sequences."""
        t = None if self.t is None else self.t[rows]
        lengths = None if self.lengths is None else self.lengths[rows]
        resample = None if self.resample is None else _of_rows(self.resample, np.arange(len(self))[rows])
        return Part(self.u[rows], self.y[rows], t, lengths, resample)


def _of_rows(resample: Resample, rows: Array) -> Resample:
    return lambda indices, times: resample(rows[indices], times)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is reached without the model: how, and the figure of a metric on the test part."""

    name: str
    metric: str
    value: float


@dataclass(frozen=True)
class Data:
    """A data set that was loaded."""

    name: str
    train: Part
    valid: Part
    test: Part
    vocab: int | None = None
    """Of tokens: how many different there are."""
    classes: int | None = None
    """Of classes: how many there are."""
    words: bool = False
    """Of tokens: whether they are told by perplexity, and not by bits, as bytes are."""
    scale: float = 1.0
    unit: str = ""
    """Of reals: errors times `scale` are in this unit."""
    ahead: bool = False
    """Of reals: whether y is u a while later, so that there is persistence to compare with."""
    baselines: tuple[Callable[[Data], Baseline | None], ...] = field(default=(), compare=False)
    """Figures that this data set is held against, beside those of its kind in `baselines.py`."""

    @property
    def parts(self) -> Mapping[str, Part]:
        return {name: getattr(self, name) for name in PARTS}


class Options(BaseModel):
    """The options of a data set; descriptions of the fields are the manual."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, defer_build=True)


@dataclass(frozen=True, slots=True)
class Request:
    """What a model would like: the length of its sequences and the size of its vocabulary, where it says so."""

    length: int | None = None
    vocab: int | None = None
    path: Path | None = None
    """What was written behind the colon of the name."""
    tell: Callable[[str], None] = lambda message: None
    """Told what takes long."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set by name. `path` says what stands behind a colon: "" nothing, else its name; optional with a "?"."""

    name: str
    summary: str
    load: Callable[[Any, Request], Data]
    options: type[Options] = Options
    path: str = ""
    source: str = ""
    holds: str = ""
    """`tokens` or `reals`, of what takes long to make or to read; a model of the other kind need not wait for it."""


def need(request: Request, what: str) -> Path:
    """The path that was asked for, which is there. Raises `DataError`."""
    path = request.path
    assert path is not None, "the registry sees to it"
    if not path.exists():
        raise DataError(f"{path}: there is no such {what}")
    return path
