"""The slow meaning of a graph: node by node, each by its own reference where it has one."""

from __future__ import annotations

import torch
from torch import Tensor

from smrdsl.kernels.lengths import turned
from smrdsl.lowering.context import turned_by
from smrdsl.runtime.model import CompiledModel


def evaluate(model: CompiledModel, u: Tensor, dt: Tensor | None = None) -> Tensor:
    """The output of a model for a sequence, without fx, passes' strategies or the layers' fast paths."""
    values: dict[str, Tensor] = {model.graph.input: u}
    backwards = turned_by(model.graph)
    tensors = dict(model.named_parameters())
    for key, node, inputs in model.graph:
        if key in values:
            continue
        layer = model.get_submodule(key)
        arguments = [values[i] for i in inputs]
        if node.shares:
            arguments += [tensors[f"{node.shares}.{name}"] for name in model.graph.shared(key)]
        slow = node.op.load_reference()
        clock = {}
        if dt is not None and node.uses_step:
            clock["dt"] = turned(dt) if key in backwards else dt
        values[key] = slow(layer, *arguments, **clock) if slow else layer(*arguments, **clock)
    return values[model.graph.output]


def close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Equal up to a tolerance relative to the largest value."""
    assert a.shape == b.shape, (a.shape, b.shape)
    if a.numel() == 0:
        return True
    scale = max(1.0, float(b.abs().max()))
    return bool(torch.isfinite(a).all()) and float((a - b).abs().max()) <= tolerance * scale
