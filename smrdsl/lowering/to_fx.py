"""To fx: a graph and its layers become a torch.fx GraphModule, in one of three forms over the same layers.

    parallel   u -> y                     the whole sequence from the zero state
    chunk      u, state -> y, state       the next part of a stream
    step       u_t, state -> y_t, state   one sample, without the time axis

`state` is a flat dict of `path.name` to tensors. What comes in as pairs is folded into the batch first. A fused node
has a layer of its own under `FUSED`, which is given those of its parts. Each node carries the place in the spec that it
came from: as `stack_trace` (torch prints it) and in `meta["spec"]`.
"""

from __future__ import annotations

import operator
import traceback
from collections.abc import Mapping
from typing import Any

from torch import fx, nn

from smrdsl.graph.graph import Graph, Location, Node
from smrdsl.lowering.context import BY_SEQUENCE, context, told, turned_by
from smrdsl.lowering.pairs import fold
from smrdsl.lowering.recompute import regions_of
from smrdsl.ops.contract import load

FORMS = ("parallel", "chunk", "step")
FUSED = "_fused"
"""What the layers of fused nodes stand under; no label can begin so."""


def fused_layers(g: Graph) -> nn.ModuleDict:
    """The layers of the fused nodes of an executed graph. They learn nothing."""
    return nn.ModuleDict({_place(k): load(n.fusion.layer)(n.fusion) for k, n, _ in g if n.fusion})


def _place(key: str) -> str:
    """The name of a fused node's layer: paths hold no colon, names of modules no dot."""
    return key.replace(".", ":")


def to_fx(g: Graph, root: nn.Module, form: str) -> fx.GraphModule:
    """One form of a graph, over the layers that `root` holds under their paths."""
    assert form in FORMS, form
    return fx.GraphModule(root, Writer(g, form).write(), class_name=g.name)


class Writer:
    """Writes the fx graph of one form."""

    def __init__(self, g: Graph, form: str) -> None:
        self.g = g
        self.form = form
        self.fx = fx.Graph()
        self.values: dict[str, fx.Node] = {}
        self.context: dict[str, fx.Node] = {}
        self.turned_by = turned_by(g)
        self.clocks: dict[str, fx.Node] = {}
        self.state_after: dict[str, fx.Node] = {}

    def write(self) -> fx.Graph:
        u = self._at(self.g.input, self.fx.placeholder("u"))
        state = None if self.form == "parallel" else self.fx.placeholder("state")
        for name, needed in context(self.g, self.form).items():
            self.context[name] = self.fx.placeholder(name) if needed else self.fx.placeholder(name, default_value=None)
        if self.g.paired:
            u = self._at(self.g.input, self.fx.call_function(fold, (u,)))
            for name in [n for n in self.context if n in BY_SEQUENCE]:
                self.context[name] = self.fx.call_function(fold, (self.context[name],))
        self.values[self.g.input] = u
        for key in self.g.keys:
            if key != self.g.input:
                self.add(key, state)
        y = self.values[self.g.output]
        self.fx.output(y if state is None else (y, self.state_after))
        self.fx.lint()
        return self.fx

    def add(self, key: str, state: fx.Node | None = None) -> None:
        """Write what one node computes, of values that are there."""
        node = self.g.node(key)
        arguments = [self.values[i] for i in self.g.inputs(key)]
        for name in self.g.shared(key):
            arguments.append(self._at(key, self.fx.get_attr(f"{node.shares}.{name}")))
        keywords = {name: self.context[name] for name in told(self.g, key, self.form) if name in self.context}
        if key in self.turned_by:
            keywords["dt"] = self._clock(self.turned_by[key])
        self.values[key] = self._call(key, node, arguments, keywords, state)

    def _clock(self, flip: str) -> fx.Node:
        """The gaps behind a node that turns time round."""
        if flip not in self.clocks:
            layer = self._at(flip, self.fx.get_attr(flip))
            lengths: dict[str, Any] = {"lengths": self.context["lengths"]}
            self.clocks[flip] = self._at(flip, self.fx.call_method("clock", (layer, self.context["dt"]), lengths))
        return self.clocks[flip]

    def _at(self, key: str, node: fx.Node) -> fx.Node:
        """Note where in the spec a node comes from."""
        where = self.g.node(key).location
        node.meta["spec"] = (key, where)
        node.stack_trace = f'  File "{where.file}", line {where.line}, in {key}\n    {where.text}'
        return node

    def _call(
        self,
        key: str,
        node: Node,
        arguments: list[fx.Node],
        keywords: Mapping[str, fx.Node],
        state: fx.Node | None,
    ) -> fx.Node:
        kept = self.g.kept(key)
        target = f"{FUSED}.{_place(key)}" if node.fusion else key
        if node.fusion:
            layers = tuple(self._at(key, self.fx.get_attr(held.key)) for held in node.fusion.holds)
            arguments = [layers, *arguments]  # type: ignore[list-item]
        if state is None or not kept:
            name = variable(key)
            call = self.fx.create_node("call_module", target, tuple(arguments), dict(keywords), name=name)
            return self._at(key, call)
        before = [self._item(key, state, name) for name in kept]
        layer = self._at(key, self.fx.get_attr(target))
        method = "step" if self.form == "step" else "extend"
        call = self.fx.call_method(method, (layer, *arguments, *before), dict(keywords))
        self._at(key, call)
        for i, name in enumerate(kept):
            self.state_after[name] = self._item(key, call, i + 1)
        return self._item(key, call, 0, variable(key))

    def _item(self, key: str, whole: fx.Node, index: str | int, name: str | None = None) -> fx.Node:
        node = self.fx.create_node("call_function", operator.getitem, (whole, index), name=name)
        return self._at(key, node)


def variable(key: str) -> str:
    """What a node is called in the code; fx makes it unique, but does not know that `self` is taken."""
    return "self_" if key == "self" else key.replace(".", "_")


def failed_at(form: fx.GraphModule, error: BaseException) -> tuple[str, Location] | None:
    """The path and place of the node at which a form's `forward` raised an error, None if it did not.

    The code that fx writes has a line for each node, which starts with its name.
    """
    # By identity: the code of blocks that are alike is equal.
    parts = {id(type(part).forward.__code__): part for part in (form, *regions_of(form))}
    place = None
    for frame, number in traceback.walk_tb(error.__traceback__):
        if part := parts.get(id(frame.f_code)):
            name = part.code.splitlines()[number - 1].split()[0]
            found = [n for n in part.graph.nodes if n.name == name]
            place = found[0].meta.get("spec") if found else None
    return place
