"""A look at every operation of a model while it runs: which is the first to leave a number that is not finite."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from smrdsl.graph.graph import Location
from smrdsl.lowering.recompute import again
from smrdsl.runtime.model import CompiledModel


class _Found(Exception):
    def __init__(self, key: str, where: Location) -> None:
        self.key, self.where = key, where


class _Watch(fx.Interpreter):
    """Runs a graph up to the first operation of the spec whose output is not finite."""

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        tensors = [x for x in (result if isinstance(result, tuple) else (result,)) if isinstance(x, Tensor)]
        if "spec" in n.meta and not all(bool(x.isfinite().all()) for x in tensors if x.is_floating_point()):
            raise _Found(*n.meta["spec"])
        return result

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """A region that is run again for the backward pass is looked into."""
        if target is again:
            region, *inputs = args
            return _Watch(region).run(*inputs)
        return super().call_function(target, args, kwargs)


def first_not_finite(model: CompiledModel, inputs: dict[str, Tensor]) -> tuple[str, Location] | None:
    """The path and place of the first operation that leaves a number that is not finite, in a run of the parallel form.

    inputs: what `model` takes, by name. Random numbers are drawn as they would be; batch statistics are updated too.
    """
    form = model.fx
    names = [str(n.target) for n in form.graph.nodes if n.op == "placeholder"]

    def forward(u: Tensor, **context: Any) -> Any:
        return _Watch(form).run(u, *(context.get(name) for name in names[1:]))

    form.forward = forward  # in the place of the code, for this one call
    try:
        with torch.no_grad():
            model(**inputs)
    except _Found as found:
        return found.key, found.where
    finally:
        del form.forward
    return None
