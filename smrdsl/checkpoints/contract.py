"""What a format of checkpoints is: one object that says how its block is read, written and described.

A format is one file in this folder, and a line in `formats.py`. Its block has parts (`x`, `z`, `conv`, `core`, ...),
found in a graph by `read`, and tensors, each of whose rows are parameters of those parts, in order: the published code
fuses projections that a spec keeps apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from smrdsl.checkpoints.config import Config
from smrdsl.checkpoints.trace import Odd, Trace
from smrdsl.graph.graph import Graph
from smrdsl.ops.contract import Range

Value = int | float | bool | None | Range
Shape = tuple[int, ...]
Parts = Mapping[str, str]
"""Part -> key of its node."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A language model of equal blocks, in words that its config, its spec and its graph have in common.

    `block` are the arguments of the component, `tied` says whether the head has the embedding's weight. `vocab` and
    `tied` are None for a part of a model that has no embedding or no head.
    """

    width: int
    depth: int
    eps: float
    vocab: int | None
    tied: bool | None
    block: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor of a checkpoint. `parts` are the parameters that its rows are, in order.

    Without parts it repeats the tensor `twin`, and may be left out; one with parts and a twin may be left out where the
    checkpoint has that.
    """

    key: str
    shape: Shape
    parts: tuple[str, ...] = ()
    twin: str | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of block whose checkpoints are known."""

    name: str
    """Of the component in the library, and `model_type` in a config of Hugging Face's."""
    title: str
    architecture: str
    """The class of transformers."""
    core: str
    """The operator that no other block has."""
    mark: str
    """The end of a key that each of its blocks has and no other format's."""
    tensors: Mapping[str, tuple[str, ...]]
    """Key in a block -> the parameters that its rows are, as part.parameter."""
    read: Callable[[Trace, str], tuple[Parts, str]]
    """The parts of the block that ends in a node, and the key of the stream that enters it. Raises `Odd`."""
    arguments: Callable[[Graph, Parts], dict[str, Value]]
    """The arguments of the component for a block of a graph."""
    unseen: tuple[str, ...]
    """Arguments that no shape shows."""
    from_huggingface: Callable[[Config], Facts]
    from_mamba_ssm: Callable[[Config], Facts]
    to_huggingface: Callable[[Facts], dict[str, Any]]
    """The config; raises `Odd` where transformers has no such model."""
    note: Callable[[Facts], str] = lambda facts: ""
    """What the reader of a spec of such a checkpoint should know, a sentence in a line or two."""


def has_bias(g: Graph, *keys: str) -> bool:
    """Whether these nodes have a bias. Raises `Odd` where some have and others have not."""
    having = ["bias" in g.parameters(key) for key in keys]
    if len(set(having)) > 1:
        raise Odd(f"{keys[having.index(True)]} has a bias and {keys[having.index(False)]} has none, and they are one")
    return having[0]


def alike(name: str, values: Mapping[str, Any]) -> Any:
    """The value that all of these nodes have. Raises `Odd` where they differ."""
    (first, wanted), *others = values.items()
    for key, value in others:
        if value != wanted:
            raise Odd(f"{key} has {name} {value} and {first} has {wanted}, and a checkpoint has one for all")
    return wanted
