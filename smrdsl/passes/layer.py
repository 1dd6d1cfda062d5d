"""What the layers of fused nodes have in common.

A fused layer learns nothing and keeps nothing that matters: it is given the layers that it stands for, at every call,
and computes what they would, one behind the other. Where it cannot (`together` gives None), they do: so it is always
right, whatever was done to them. Weights stay where they are in the model, under their own names.

    forward(layers, *streams, **told)              the whole sequence, or positions, from the zero state
    extend(layers, *streams, *states, **told)      a chunk and the states after it
    step(layers, *streams, *states, **told)        one sample and the states after it

`told` is what some of them are told besides: rate or dt, and lengths. States are those of all of them, in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from smrdsl.graph.graph import Fusion, Held

Layers = Sequence[nn.Module]
Outputs = Tensor | tuple[Tensor, ...]
"""The value of the last of the layers, or of each that the fusion gives."""
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
CLOCK = ("rate", "dt")


class FusedLayer(nn.Module):
    """Abstract: a subclass says how its parts run `together`, and may say how they `continue_together`."""

    def __init__(self, fusion: Fusion) -> None:
        super().__init__()
        self.fusion = fusion
        self.kinds = tuple(held.node.op.load_layer() for held in fusion.holds)

    def together(self, layers: Layers, *streams: Tensor, **told: Any) -> Outputs | None:
        """The whole sequence as one; None where that cannot be, or is not worth it."""
        return None

    def continue_together(
        self, layers: Layers, streams: Sequence[Tensor], states: Sequence[Tensor], **told: Any
    ) -> tuple[Tensor, ...] | None:
        """A chunk as one, with the states after it; None likewise."""
        return None

    def forward(self, layers: Layers, *streams: Tensor, **told: Any) -> Outputs:
        if self._untouched(layers):
            y = self.together(layers, *streams, **told)
            if y is not None:
                return y
        return self._apart("forward", layers, streams, (), told)[0]

    def extend(self, layers: Layers, *given: Tensor, **told: Any) -> tuple[Tensor, ...]:
        streams, states = given[: len(self.fusion.inputs)], given[len(self.fusion.inputs) :]
        if self._untouched(layers):
            found = self.continue_together(layers, streams, states, **told)
            if found is not None:
                return found
        return self._apart("extend", layers, streams, states, told)

    def step(self, layers: Layers, *given: Tensor, **told: Any) -> tuple[Tensor, ...]:
        streams, states = given[: len(self.fusion.inputs)], given[len(self.fusion.inputs) :]
        return self._apart("step", layers, streams, states, told)

    def _untouched(self, layers: Layers) -> bool:
        """Whether calling the layers would do what they were made for: none was replaced, and nobody listens.

        What is traced is left as it is written: compilers fuse in their own way, and an exported graph holds no kernel.
        """
        if torch.compiler.is_compiling():
            return False
        return all(
            type(layer) is kind and not any(getattr(layer, hooks) for hooks in HOOKS)
            for layer, kind in zip(layers, self.kinds, strict=True)
        )

    def _apart(
        self, method: str, layers: Layers, streams: Sequence[Tensor], states: Sequence[Tensor], told: dict[str, Any]
    ) -> tuple[Any, ...]:
        """The layers one behind the other: what they give, and the states after them."""
        values = dict(zip(self.fusion.inputs, streams, strict=True))
        before, after = list(states), []
        y: Any = streams[0]
        for held, layer in zip(self.fusion.holds, layers, strict=True):
            arguments, keywords = [values[i] for i in held.inputs], _told(held, told)
            if held.state and method != "forward":
                own, before = before[: len(held.state)], before[len(held.state) :]
                y, *now = getattr(layer, method)(*arguments, *own, **keywords)
                after += now
            else:
                y = layer(*arguments, **keywords)
            values[held.key] = y
        if self.fusion.gives:
            y = tuple(values[key] for key in self.fusion.gives)
        return y, *after


class Part(FusedLayer):
    """One of the outputs of a fused layer that gives several."""

    def forward(self, layers: Layers, *streams: Any, **told: Any) -> Tensor:
        assert self.fusion.part is not None
        return streams[0][self.fusion.part]


def _told(held: Held, told: dict[str, Any]) -> dict[str, Any]:
    """The keywords that one of the layers takes."""
    wanted = (*(CLOCK if held.node.uses_step else ()), *(("lengths",) if held.node.uses_lengths else ()))
    return {name: value for name, value in told.items() if name in wanted}
