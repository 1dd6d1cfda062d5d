"""Optimiser groups: each operator says how its parameters are trained; here they are sorted by that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smrdsl.runtime.model import CompiledModel

SSM_RATE = 1e-3
"""The learning rate of A, B and the step in most published S4 and S5 configurations."""


def parameter_groups(
    model: CompiledModel, lr: float, weight_decay: float, ssm_lr: float = SSM_RATE
) -> list[dict[str, Any]]:
    """Groups for an optimiser: regular, without decay, and the cores' dynamics, slow and without decay.

    Slow is `ssm_lr`, and never above lr. What a user put into the model is regular, and decays if it has more than
    one axis.
    """
    tensors = dict(model.named_parameters())
    sorted_: dict[tuple[str, bool], list[Any]] = {}
    for key, _, _ in model.graph:
        for name, declared in model.graph.parameters(key).items():
            tensor = tensors.pop(f"{key}.{name}", None)
            if tensor is not None:
                sorted_.setdefault((declared.group, declared.decay), []).append(tensor)
    for tensor in tensors.values():
        sorted_.setdefault(("regular", tensor.dim() > 1), []).append(tensor)
    return [
        {
            "name": group if decay else f"{group} without decay",
            "params": members,
            "lr": min(lr, ssm_lr) if group == "ssm" else lr,
            "weight_decay": weight_decay if decay else 0.0,
        }
        for (group, decay), members in sorted_.items()
    ]
