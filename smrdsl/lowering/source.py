"""Source: a graph as Python that a person reads: one line an operation, each with its line of the spec.

What is written uses only `smrdsl.runtime.generated` and torch, takes the package's weights, and computes the
same numbers.
"""

from __future__ import annotations

import json
import keyword
import math
from collections.abc import Iterator
from typing import Any

from smrdsl.core.types import PAIRS, StreamType
from smrdsl.graph.graph import Graph
from smrdsl.lowering.context import BY_SEQUENCE, context, told, turned_by
from smrdsl.ops.contract import Range

COMMENT_COLUMN = 76

HEAD = '''"""{name}: compiled by smrdsl from {file}. Generated: read it, import it, edit the .smr instead.

    model = {cls}.load()            # takes weights.safetensors beside this file
    y = model(u{clock})
"""

from pathlib import Path

from torch import nn

from smrdsl.runtime.generated import {helpers}


class {cls}(nn.Module):
    """u {input} -> {output}"""
'''

LOAD = """
    @classmethod
    def load(cls, file=Path(__file__).with_name("weights.safetensors")):
        return load_weights(cls(), file)
"""


def write_source(g: Graph) -> str:
    """The module of a graph as Python text: a class with `forward` and, where the model is causal, `step`."""
    cls = class_name(g.name)
    file = _plain(g.node(g.input).location.file).replace("\\", "/").replace('"', "'")
    head = HEAD.format(
        name=g.name,
        cls=cls,
        file=file,
        clock=", dt" if g.timed else "",
        helpers=", ".join(["attach", *["fold"] * g.paired, "layer", "load_weights"]),
        input=str(g.node(g.input).type).replace(PAIRS, "B, 2"),
        output=g.node(g.output).type,
    )
    parts = [head, *_constructor(g), "", *_forward(g)]
    if not g.look_ahead():
        parts += ["", *_step(g)]
    return "\n".join(parts) + "\n" + LOAD


def class_name(name: str) -> str:
    """`byte_lm` -> `ByteLm`"""
    joined = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    return joined if joined.isidentifier() and not keyword.iskeyword(joined) else f"Model{joined}"


def _noted(code: str, g: Graph, key: str) -> str:
    """A line of code with the line of the spec that it came from, and with the file where that was imported."""
    where = g.node(key).location
    file = "" if where.file == g.node(g.input).location.file else f"{_plain(where.file)}:"
    return f"{code:<{COMMENT_COLUMN}}  # {file}{where.line}: {_plain(where.text)}"


def _plain(text: str) -> str:
    """Text that stays on its line: what a comment holds must never become code."""
    return "".join(c if c.isprintable() else " " for c in text)


def _constructor(g: Graph) -> Iterator[str]:
    yield "    def __init__(self):"
    yield "        super().__init__()"
    yield "        layers = {"
    for key, node, _ in g:
        if node.op.layer:
            arguments = [f'"{node.op.name}"', *(f'"{_type(t)}"' for t in g.seen_types(key)[0])]
            given = node.params.model_dump(exclude_defaults=True)
            arguments += [f"{n}={_value(getattr(node.params, n))}" for n in given]
            if node.op.strategies and node.strategy != "auto":
                arguments.append(f'strategy="{node.strategy}"')
            yield _noted(f'            "{key}": layer({", ".join(arguments)}),', g, key)
    yield "        }"
    yield "        attach(self, layers)"


def _type(t: StreamType) -> str:
    """`B L 64`, `tokens 256`"""
    return f"tokens {t.vocab}" if t.kind == "index" else " ".join(map(str, t.dims))


def _value(value: Any) -> str:
    if isinstance(value, Range):
        return f'"{value.low!r}..{value.high!r}"'
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)


def _forward(g: Graph) -> Iterator[str]:
    places, names = _places(g), _names(g)
    yield f"    def forward(self, u{_signature(g, 'parallel')}):"
    yield from _fold(g, "parallel")
    turned = turned_by(g)
    turning = set(turned.values())
    for key, node, inputs in g:
        if node.op.layer:
            clock = names[f"{turned[key]}.dt"] if key in turned else "dt"
            call = f"{places[key]}({_arguments(g, key, inputs, names, places)}{_told(g, key, 'parallel', clock)})"
            yield _noted(f"        {names[key]} = {call}", g, key)
        if key in turning:
            yield _noted(f"        {names[f'{key}.dt']} = {places[key]}.clock(dt, lengths=lengths)", g, key)
    yield f"        return {names[g.output]}"


def _step(g: Graph) -> Iterator[str]:
    places, names = _places(g), _names(g)
    yield f"    def step(self, u, state{_signature(g, 'step')}):"
    yield from _fold(g, "step")
    after: list[str] = []
    for key, node, inputs in g:
        if not node.op.layer:
            continue
        arguments = _arguments(g, key, inputs, names, places)
        kept = [f"{key}.{name}" for name in g.state(key)]
        if not kept:
            yield _noted(f"        {names[key]} = {places[key]}({arguments})", g, key)
            continue
        before = "".join(f', state["{k}"]' for k in kept)
        variables = [names[k] for k in kept]
        after += [f'"{k}": {v}' for k, v in zip(kept, variables, strict=True)]
        left = ", ".join([names[key], *variables])
        yield _noted(f"        {left} = {places[key]}.step({arguments}{before}{_told(g, key, 'step')})", g, key)
    yield f"        return {names[g.output]}, {{"
    yield from (f"            {item}," for item in after)
    yield "        }"


def _fold(g: Graph, form: str) -> Iterator[str]:
    """Pairs of sequences become twice as large a batch."""
    for name in ("u", *(n for n in context(g, form) if n in BY_SEQUENCE)) if g.paired else ():
        yield _noted(f"        {name} = fold({name})", g, g.input)


def _signature(g: Graph, form: str) -> str:
    """The parameters of a form beside its stream and state."""
    return "".join(f", {name}" if needed else f", {name}=None" for name, needed in context(g, form).items())


def _told(g: Graph, key: str, form: str, clock: str = "dt") -> str:
    """The keywords of the call of a node's layer; `clock` is what holds its gaps."""
    return "".join(f", {name}={clock if name == 'dt' else name}" for name in told(g, key, form))


def _arguments(g: Graph, key: str, inputs: tuple[str, ...], names: dict[str, str], places: dict[str, str]) -> str:
    node = g.node(key)
    parts = [names[i] for i in inputs]
    if node.shares:
        parts += [f"{places[node.shares]}.{name}" for name in g.shared(key)]
    return ", ".join(parts)


def _names(g: Graph) -> dict[str, str]:
    """A variable for each node and each state after it; the input is `u`."""
    taken = {"u", "self", "state", "dt", "rate", "lengths", "fold", "getattr"}
    names, turning = {g.input: "u"}, set(turned_by(g).values())
    for key in g.keys:
        others = [*g.state(key), *["dt"] * (key in turning)]
        for path in (key, *(f"{key}.{name}" for name in others)):
            name = path.replace(".", "_")
            while name in taken or keyword.iskeyword(name):
                name += "_"
            taken.add(name)
            names.setdefault(path, name)
    return names


def _places(g: Graph) -> dict[str, str]:
    """How each layer is reached: `self.layers[0].norm`. Runs of numbers are lists, as `nest` makes them."""
    children: dict[str, dict[str, None]] = {}
    keys = [k for k, n, _ in g if n.op.layer]
    for key in keys:
        path = key.split(".")
        for i, name in enumerate(path):
            children.setdefault(".".join(path[:i]), {})[name] = None
    lists = {p for p, names in children.items() if list(names) == [str(i) for i in range(len(names))]}

    def reach(key: str) -> str:
        text, prefix = "self", ""
        for name in key.split("."):
            if prefix in lists:
                text += f"[{name}]"
            elif name.isdigit() or name.startswith("__"):
                text = f'getattr({text}, "{name}")'
            else:
                text += f".{name}"
            prefix = f"{prefix}.{name}" if prefix else name
        return text

    return {key: reach(key) for key in keys}
