"""Whether data fits a model, and what is to be learned of it, before anything is trained. Needs no torch.

classes   y is a class for each sequence (or pair), the model leaves one vector   cross entropy, accuracy
tokens    y is a token for each place, the model leaves a vector for each         cross entropy, bits, perplexity
reals     y is reals, for each sequence or sample, as the model leaves them       mean squared error, its root
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from smrdsl.core.types import StreamType
from smrdsl.data.contract import Data, DataError, DataSet
from smrdsl.graph.graph import Graph, Node


@dataclass(frozen=True, slots=True)
class Task:
    """What is learned, the metric that is told first, and whether more of it is better."""

    kind: str
    metric: str
    rising: bool
    scale: float = 1.0
    words: bool = False

    def metrics(self, loss: float, right: float) -> dict[str, float]:
        """What a person is told of a mean loss and a share of right answers."""
        if self.kind == "reals":
            return {"loss": loss, "rmse": self.scale * math.sqrt(max(loss, 0.0))}
        found = {"loss": loss, "accuracy": right}
        if self.kind == "tokens":
            found |= {"perplexity": math.exp(min(loss, 700.0))} if self.words else {"bits_per_byte": loss / math.log(2)}
        return found


def task_of(g: Graph, data: Data) -> Task:
    """The task. Raises `DataError` with the line of the spec that the data does not fit, and what the data has."""
    _fit_input(g, data)
    y, node = data.train.y, g.node(g.output)
    if y.dtype.kind == "f":
        _fit_reals(g, data, node)
        return Task("reals", "rmse", False, data.scale)
    if y.ndim == 1:
        _fit_classes(data, node)
        return Task("classes", "accuracy", True)
    _fit_tokens(g, data, node)
    return Task("tokens", "perplexity" if data.words else "bits_per_byte", False, words=data.words)


def refuse_kind(g: Graph, dataset: DataSet) -> None:
    """Raise `DataError` where a model reads tokens and a data set is known to hold reals, or the other way round."""
    node = g.node(g.input)
    wants = "tokens" if node.type.kind == "index" else "reals"
    if dataset.holds not in ("", wants):
        raise _misfit(node, f"the model reads {wants}, {dataset.name} has {dataset.holds}")


def _fit_input(g: Graph, data: Data) -> None:
    node, u = g.node(g.input), data.train.u
    type_, index = node.type, u.dtype.kind != "f"
    has = f"{data.name} has {'tokens' if index else 'reals'} {_shape(u.shape)}"
    if index != (type_.kind == "index"):
        wants = "tokens" if type_.kind == "index" else "reals"
        raise _misfit(node, f"the model reads {wants}, {has}")
    if (u.ndim == 3 + (not index)) != type_.paired:
        raise _misfit(node, f"the model reads {'pairs of' if type_.paired else 'single'} sequences, {has}")
    if not index and u.shape[-1] != type_.width:
        raise _misfit(node, f"the model reads {type_.width} channels, {has}")
    if index and data.vocab is not None and type_.vocab is not None and data.vocab > type_.vocab:
        raise _misfit(node, f"the model knows {type_.vocab} tokens, {data.name} has {data.vocab}")


def _fit_classes(data: Data, node: Node) -> None:
    has = f"{data.name} has one of {data.classes} classes for each sequence"
    if node.type.timed:
        raise _misfit(node, f"the model leaves {_leaves(node.type)}, {has}; put `pool(mean)` before it")
    if data.classes is not None and node.type.width < data.classes:
        raise _misfit(node, f"the model tells {node.type.width} classes apart, {has}")


def _fit_tokens(g: Graph, data: Data, node: Node) -> None:
    has = f"{data.name} has one of {data.vocab} tokens to say at each place"
    if not node.type.timed:
        raise _misfit(node, f"the model leaves {_leaves(node.type)}, {has}")
    if data.vocab is not None and node.type.width < data.vocab:
        raise _misfit(node, f"the model gives {node.type.width} numbers at each place, {has}")
    if np.array_equal(data.train.u[:1, 1:], data.train.y[:1, :-1]):
        _refuse_ahead(g, "the next token")


def _fit_reals(g: Graph, data: Data, node: Node) -> None:
    y = data.train.y
    has = f"{data.name} has {y.shape[-1]} numbers to say for each {'sample' if y.ndim == 3 else 'sequence'}"
    if node.type.timed != (y.ndim == 3) or node.type.width != y.shape[-1]:
        raise _misfit(node, f"the model leaves {_leaves(node.type)}, {has}")
    if data.ahead:
        _refuse_ahead(g, "the next value")


def _refuse_ahead(g: Graph, what: str) -> None:
    for key in g.look_ahead():
        raise _misfit(g.node(key), f"it looks ahead, so that it sees {what}, which it should say")


def _leaves(type_: StreamType) -> str:
    return f"{type_.width} numbers for each {'sample' if type_.timed else 'sequence'}"


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(str(n) for n in shape)})"


def _misfit(node: Node, why: str) -> DataError:
    return DataError(f"{node.location}: {node.location.text}: {why}")
