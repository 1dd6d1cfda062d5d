"""What the house asks of an operator, answered for a torch.nn.Module by running it on meta tensors.

Free of torch until it is asked. What one set of arguments and inputs gives is found once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Cost, Parameter, Params, State, Streams, elements, positions


@dataclass(frozen=True, slots=True)
class Facts:
    """What a module leaves, learns and remembers."""

    output: StreamType
    parameters: Mapping[str, Parameter]
    state: Mapping[str, State]


@dataclass(frozen=True)
class Blueprint:
    """A module's class as an operator; `takes_width` where its `width` is that of the stream."""

    name: str
    cls: type
    takes_width: bool
    pointwise: bool
    found: dict[tuple[str, Streams], Facts] = field(default_factory=dict, repr=False)

    @property
    def steps(self) -> bool:
        """Whether it has a step of its own."""
        return not self.pointwise and hasattr(self.cls, "step") and hasattr(self.cls, "initial_state")

    def arguments(self, p: Params, inputs: Streams) -> dict[str, Any]:
        """What the class is called with."""
        given = {name: getattr(p, name) for name in type(p).model_fields}
        if self.takes_width and given["width"] is None:
            given["width"] = inputs[0].width
        return given

    def facts(self, p: Params, inputs: Streams) -> Facts:
        from smrdsl.ops.custom.layer import examine

        key = (repr(p), inputs)
        if key not in self.found:
            self.found[key] = examine(self, p, inputs)
        return self.found[key]

    def infer(self, p: Params, inputs: Streams) -> StreamType:
        return self.facts(p, inputs).output

    def parameters(self, p: Params, inputs: Streams, output: StreamType) -> Mapping[str, Parameter]:
        return self.facts(p, inputs).parameters

    def state(self, p: Params, inputs: Streams, output: StreamType) -> Mapping[str, State]:
        return self.facts(p, inputs).state

    def cost(self, p: Params, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
        """A guess: each parameter is used once at each position, and what comes in and goes out is kept."""
        rows = positions(inputs[0], length)
        learned = sum(parameter.size for parameter in self.facts(p, inputs).parameters.values())
        numbers = elements((*inputs, output), length)
        return Cost(2 * rows * learned + numbers, elements((output,), length))

    def looks_ahead(self, p: Params) -> bool:
        """Also where it is not known, for want of a step."""
        return not (self.pointwise or self.steps)

    def layer(self) -> Any:
        from smrdsl.ops.custom.layer import Custom

        return partial(Custom, self)
