"""Recompute: parts of a model that are run a second time for the backward pass, instead of keeping what they made.

Each region of a graph becomes a GraphModule of its own over the same layers, which `again` runs: through torch's
checkpoint where gradients are recorded, as it is elsewhere. Values, gradients and the names of what is learned stay;
what is drawn at random is drawn the same again.
"""

from __future__ import annotations

import gc
import operator
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import fx
from torch.utils.checkpoint import checkpoint

NAME = "region_"


def recompute(module: fx.GraphModule, regions: Iterable[Sequence[str]]) -> fx.GraphModule:
    """The module with each region, given by the keys of its nodes, run again for the backward pass.

    Where a node outside stands both behind and before parts of a region, that region stays as it is.
    """
    for number, keys in enumerate(regions):
        _fold(module, frozenset(keys), f"{NAME}{number}")
    module.graph.lint()
    module.recompile()
    return module


def regions_of(module: fx.GraphModule) -> list[fx.GraphModule]:
    """The regions of a module that are run again."""
    found = (n.target for n in module.graph.nodes if n.op == "get_attr")
    return [getattr(module, name) for name in found if name.startswith(NAME)]


def again(region: fx.GraphModule, *inputs: Any) -> Any:
    """A region on its inputs, of which only those are kept for the backward pass.

    Not where torch compiles: its compiler decides for itself what it keeps, and its checkpoint draws other numbers the
    second time. Nor under torch.func, which allows none.
    """
    if not torch.is_grad_enabled() or torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return region.forward(*inputs)
    return checkpoint(region.forward, *inputs, use_reentrant=False, context_fn=_contexts)


def _contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Around the first run of a region, and around the second."""
    return nullcontext(), _swept()


@contextmanager
def _swept() -> Iterator[None]:
    """What the region behind left in reference cycles is freed first: tensors do not tell Python's collector."""
    gc.collect(1)
    yield


def _fold(module: fx.GraphModule, keys: frozenset[str], name: str) -> None:
    """Put a call in the place of the nodes of a region."""
    inside = [node for node in module.graph.nodes if _key(node) in keys and node.op != "placeholder"]
    held = set(inside)
    inputs = list(dict.fromkeys(i for node in inside for i in node.all_input_nodes if i not in held))
    outputs = [node for node in inside if any(user not in held for user in node.users)]
    if not outputs or not _closed(inside, held):
        return
    part = _part(module, inside, inputs, outputs)
    object.__setattr__(module, name, part)  # not as a child, whose layers would be found twice
    _move_behind(inside[-1], outputs, held)
    with module.graph.inserting_after(inside[-1]):
        region = module.graph.create_node("get_attr", name, name=name)
    with module.graph.inserting_after(region):
        call = module.graph.call_function(again, (region, *inputs))
    call.meta, call.stack_trace = dict(outputs[-1].meta), outputs[-1].stack_trace
    region.meta = dict(call.meta)
    _give(module.graph, call, outputs, held)
    for node in reversed(inside):
        module.graph.erase_node(node)


def _key(node: fx.Node) -> str | None:
    return node.meta["spec"][0] if "spec" in node.meta else None


def _closed(inside: list[fx.Node], held: set[fx.Node]) -> bool:
    """Whether nothing that follows from a region leads back into it."""
    behind: set[fx.Node] = set()
    for node in inside[0].graph.nodes:
        if node in held:
            if any(i in behind for i in node.all_input_nodes):
                return False
        elif any(i in held or i in behind for i in node.all_input_nodes):
            behind.add(node)
    return True


def _part(
    module: fx.GraphModule, inside: list[fx.Node], inputs: list[fx.Node], outputs: list[fx.Node]
) -> fx.GraphModule:
    """The region by itself, over the layers of the whole."""
    graph = fx.Graph()
    copies = {node: graph.placeholder(node.name) for node in inputs}
    for node in inside:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    left = [copies[node] for node in outputs]
    graph.output(left[0] if len(left) == 1 else tuple(left))
    part = fx.GraphModule(module, graph, class_name=f"{type(module).__name__}Region")
    part._modules = module._modules
    return part


def _move_behind(last: fx.Node, outputs: list[fx.Node], held: set[fx.Node]) -> None:
    """What reads a region stands behind all of it."""
    behind, place = set(outputs), last
    for node in list(last.graph.nodes):
        if node not in held and any(i in behind for i in node.all_input_nodes):
            behind.add(node)
            if node < last:
                place.append(node)
                place = node


def _give(graph: fx.Graph, call: fx.Node, outputs: list[fx.Node], held: set[fx.Node]) -> None:
    """What read the nodes of a region reads what the call leaves."""
    place = call
    for i, node in enumerate(outputs):
        value = call
        if len(outputs) > 1:
            with graph.inserting_after(place):
                value = place = graph.call_function(operator.getitem, (call, i))
            value.meta = dict(node.meta)
        node.replace_all_uses_with(value, delete_user_cb=lambda user: user not in held)
