"""Where a number that is not finite comes from: weights first, then the batch once more, layer by layer."""

from __future__ import annotations

import torch
from torch import Tensor

from smrdsl.core.errors import SmrError
from smrdsl.graph.graph import Location
from smrdsl.runtime.model import CompiledModel
from smrdsl.runtime.watch import first_not_finite

ADVICE = "checkpoints are from before; try a lower lr, a longer warm-up, a smaller clip, or data on a scale near 1"


class NotFinite(SmrError):
    """The loss or a gradient is not finite; the message says where that started."""


def bad_loss(
    model: CompiledModel, inputs: dict[str, Tensor], loss: float, step: int, seed: int = 0, *, held_out: bool = False
) -> NotFinite:
    """The error for a loss of a batch, whose weights and random numbers (of that seed) are still those of the step."""
    start = f"the loss {'on what is held out ' if held_out else ''}is {loss} at step {step}"
    weights = _odd(model, [(name, p) for name, p in model.named_parameters()])
    if weights is not None:
        key, where, name = weights
        return NotFinite(f"{start}: {where}: {where.text} ({key}): its {name} is no longer finite; {ADVICE}")
    torch.manual_seed(seed)
    found = first_not_finite(model, inputs)
    if found is not None:
        key, where = found
        return NotFinite(f"{start}: {where}: {where.text} ({key}) is the first whose output is not finite; {ADVICE}")
    return NotFinite(f"{start}, though every layer's output is finite: what is to be learned is out of reach; {ADVICE}")


def bad_gradient(model: CompiledModel, step: int) -> NotFinite:
    """The error for gradients, which run backwards: the last layer with one that is not finite is where it started."""
    gradients = [(name, p.grad) for name, p in model.named_parameters() if p.grad is not None]
    start = f"the gradient of step {step + 1} is not finite, though the loss is"
    found = _odd(model, gradients, last=True)
    if found is None:
        name, _ = max(gradients, key=lambda pair: float(pair[1].abs().max()))
        where = model.graph.node(name.rpartition(".")[0]).location
        return NotFinite(f"the gradient of step {step + 1} is too large to be measured, most of all that of {name} at "
                         f"{where}: {where.text}; {ADVICE}")  # fmt: skip
    key, where, name = found
    return NotFinite(f"{start}: it is that of {name} at {where}: {where.text} ({key}) first; {ADVICE}")


def _odd(
    model: CompiledModel, tensors: list[tuple[str, Tensor]], *, last: bool = False
) -> tuple[str, Location, str] | None:
    """The first layer (or the last) with a tensor that is not finite: its key, place, and the tensor's name there."""
    odd = {name for name, tensor in tensors if not bool(tensor.isfinite().all())}
    keys = model.graph.keys[::-1] if last else model.graph.keys
    for key in keys:
        own = [name for name in odd if name.rpartition(".")[0] == key]
        if own:
            return key, model.graph.node(key).location, min(own).rpartition(".")[2]
    return None
