"""What a peer is: how it is found, how its layer is made with the weights of ours, and what ought to be reached.

A file of this folder holds each peer and exports its `PEERS`. Ours and theirs take (batch, length, width) to the same,
and hold the same numbers, so that their outputs can be compared. Who cannot be had raises `Absent` with the reason.
"""

from __future__ import annotations

import importlib
import logging
import sys
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import smrdsl
from smrdsl.kernels.memo import Memo

FORWARD, TRAINING = "forward", "forward and backward"
Run = Callable[[Tensor], Tensor]


class Absent(Exception):
    """Why a peer is not there."""


@dataclass(frozen=True)
class Setting:
    """The size of the job, and the folders in which a user has put what is in no package, by option."""

    batch: int = 4
    width: int = 256
    folders: Mapping[str, Path] = field(default_factory=dict)

    def folder(self, name: str, source: str) -> Path:
        """A user's folder; raises `Absent` with where to get it from."""
        found = self.folders.get(name)
        if found is None:
            raise Absent(f"needs --{name} FOLDER, a checkout of {source}")
        if not found.is_dir():
            raise Absent(f"--{name} {found} is no folder")
        return found


@dataclass(frozen=True)
class Pair:
    """Two layers with the same weights, and the forward of theirs."""

    ours: smrdsl.CompiledModel
    theirs: nn.Module
    run: Run

    def plan(self, length: int, batch: int, work: str) -> None:
        """Let every layer of ours execute as it would be planned for the job."""
        for side in (self.ours, self.theirs):
            if isinstance(side, smrdsl.CompiledModel):
                side.replan(length=length, batch=batch, mode="train" if work == TRAINING else "infer")


@dataclass(frozen=True)
class Peer:
    """One comparison. `make` takes a setting and the longest sequence that the pair will see."""

    name: str
    """What the command line calls it."""
    layer: str
    """What is compared, for the table."""
    peer: str
    make: Callable[[Setting, int], Pair]
    tolerance: float = 1e-4
    """How far outputs may lie apart, relative to the largest."""
    lengths: tuple[int, ...] = (1024, 4096)
    goals: Mapping[str, float] = field(default_factory=dict)
    """Work -> how many times our time theirs ought to be."""
    native: bool = True
    """Whether ours may run native kernels; where not, the comparison runs in a process without them."""
    price: bool = False
    """Whether theirs is ours without something, so that what is told is what this costs."""


def fresh(layer: nn.Module) -> Run:
    """A forward of ours that keeps nothing from the last one, so that it makes its kernels as the others do."""

    def run(u: Tensor) -> Tensor:
        for module in layer.modules():
            for name, value in vars(module).items():
                if isinstance(value, Memo):
                    setattr(module, name, Memo())
        return layer(u)

    return run


@torch.no_grad()
def take(ours: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Copy weights into ours, by the ends of their names. Every weight of ours must get one."""
    own = dict(ours.named_parameters())
    for name, parameter in own.items():
        ends = [end for end in values if name == end or name.endswith(f".{end}")]
        assert len(ends) == 1, f"{name} takes one of {sorted(values)}"
        parameter.copy_(values[ends[0]].reshape(parameter.shape))
    assert len(own) == len(values), sorted(values)


@contextmanager
def quiet() -> Iterator[None]:
    """What a peer warns of when it is imported or made says nothing about ours."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def package(module: str) -> Any:
    """An installed peer; raises `Absent`."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Absent(f"{error}; pip install smrdsl[peers]") from None


def from_folder(folder: Path, module: str, bare: tuple[str, ...] = ()) -> Any:
    """A module of a user's folder. The packages `bare` are entered without what their `__init__` imports."""
    for name in bare:
        if name not in sys.modules:
            shell = types.ModuleType(name)
            shell.__path__ = [str(folder.joinpath(*name.split(".")))]
            sys.modules[name] = shell
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Absent(f"{module} of {folder} cannot be imported: {error}") from None
    finally:
        sys.path.remove(str(folder))
