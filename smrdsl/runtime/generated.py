"""What a generated `model.py` is written in: layers by their operator's name, put under their paths."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from torch import nn

from smrdsl.core.errors import SmrError
from smrdsl.core.types import StreamType
from smrdsl.lowering.layers import nest
from smrdsl.lowering.pairs import fold
from smrdsl.ops.contract import Range
from smrdsl.ops.registry import operators
from smrdsl.runtime.weights import load_into

__all__ = ["attach", "fold", "layer", "load_weights"]


def layer(operator: str, *streams: str, strategy: str | None = None, **arguments: Any) -> nn.Module:
    """The layer of an operator for streams such as `B L 64` or `tokens 256`, with its arguments by name."""
    op = operators().get(operator)
    if op is None:
        raise SmrError(f"the operator `{operator}` is not known here; import the package that has it")
    fields = op.params.model_fields
    params = op.params(**{n: _argument(fields[n].annotation, v) for n, v in arguments.items()})
    inputs = tuple(_stream(s) for s in streams)
    made = op.load_layer()(params, inputs, op.infer(params, inputs))
    if strategy is not None:
        made.strategy = strategy
    return made


def attach(module: nn.Module, layers: Mapping[str, nn.Module]) -> None:
    """Put layers under their paths into a module."""
    for name, child in nest(layers).named_children():
        module._modules[name] = child


def load_weights(module: nn.Module, file: str | os.PathLike[str]) -> nn.Module:
    """The module with the weights of a safetensors file, in evaluation mode. Raises `WeightsError`."""
    load_into(module, file)
    return module.eval()


def _argument(annotation: Any, value: Any) -> Any:
    """A value as the operator takes it: a range is written as a text."""
    if isinstance(value, str) and ".." in value and Range.__name__ in str(annotation):
        low, _, high = value.partition("..")
        return Range(low=float(low), high=float(high))
    return value


def _stream(text: str) -> StreamType:
    if text.startswith("tokens "):
        return StreamType.index(int(text.split()[1]))
    return StreamType(tuple(int(d) if d.isdigit() else d for d in text.split()))
