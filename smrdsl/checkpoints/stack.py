"""Stack: a model read as a checkpoint describes it: an embedding, blocks in residuals behind a norm, a norm, a head.

What checkpoints call these, without the prefixes that differ (`keys.py` takes them off):

    embeddings.weight   layers.I.norm.weight   layers.I.mixer.TENSOR   norm_f.weight   lm_head.weight

A part of such a model is one too: the blocks alone over `signal(...)`, or the parts up to the last norm. A block
without residual and norm, by itself, has the tensors of the block alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from smrdsl.checkpoints.contract import Entry, Facts, Format, Parts, Shape, alike
from smrdsl.checkpoints.trace import PRODUCTS, Odd, Trace
from smrdsl.graph.graph import Graph

EMBEDDING, FINAL_NORM, HEAD = "embeddings.weight", "norm_f.weight", "lm_head.weight"
DEPTHWISE = "conv1d.weight"
"""The tensor that has an axis of one channel behind its rows."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block's parts, and its norm; None where it stands by itself."""

    parts: Parts
    norm: str | None = None


@dataclass(frozen=True, slots=True)
class Stack:
    """The keys of the nodes that a checkpoint has tensors for; None for parts that the model does not have."""

    graph: Graph
    format: Format
    blocks: tuple[Block, ...]
    embed: str | None = None
    norm: str | None = None
    head: str | None = None

    @property
    def tied(self) -> bool:
        """Whether the head has the embedding's weight."""
        return self.head is not None and self.graph.node(self.head).shares is not None

    def shape(self, name: str) -> Shape | None:
        """The shape of a parameter, None where the model has none of that name."""
        key, _, own = name.rpartition(".")
        parameter = self.graph.parameters(key).get(own)
        return parameter.shape if parameter else None

    # --- what a checkpoint of it holds

    def entries(self) -> list[Entry]:
        """The tensors of such a checkpoint. Raises `Odd` where a part has a bias that no checkpoint has."""
        found = [self._whole(EMBEDDING, self.embed)] if self.embed else []
        for i, block in enumerate(self.blocks):
            if block.norm:
                found.append(self._whole(f"layers.{i}.norm.weight", block.norm))
            found += self._mixer(block.parts, f"layers.{i}.mixer." if block.norm else "")
        if self.norm:
            found.append(self._whole(FINAL_NORM, self.norm))
        return [*found, self._head()] if self.head else found

    def _whole(self, key: str, node: str) -> Entry:
        shape = self.shape(f"{node}.weight")
        assert shape is not None, node
        return Entry(key, shape, (f"{node}.weight",))

    def _mixer(self, parts: Parts, prefix: str) -> list[Entry]:
        found = []
        for key, rows in self.format.tensors.items():
            named = [f"{parts[part]}.{name}" for part, _, name in (r.partition(".") for r in rows) if part in parts]
            shapes = {name: shape for name in named if (shape := self.shape(name)) is not None}
            if not shapes:
                continue
            if len(shapes) < len(named):
                odd = next(name for name in named if name not in shapes)
                raise Odd(f"there is no {odd}, which would be a part of {prefix}{key}")
            rest = {name: shape[1:] for name, shape in shapes.items()}
            row = alike("rows of shape", rest)
            count = sum(shape[0] for shape in shapes.values())
            found.append(Entry(f"{prefix}{key}", (count, *((1,) if key == DEPTHWISE else ()), *row), tuple(shapes)))
        return found

    def _head(self) -> Entry:
        assert self.head is not None
        if self.shape(f"{self.head}.bias"):
            raise Odd(f"{self.head} has a bias, and the head of a checkpoint has none")
        twin = EMBEDDING if self.embed else None
        if not self.tied:
            entry = self._whole(HEAD, self.head)
            return Entry(HEAD, entry.shape, entry.parts, twin)
        shape = self.shape(f"{self.embed}.weight")
        assert shape is not None, self.embed
        return Entry(HEAD, shape, (), twin)

    # --- what its config says

    def facts(self) -> Facts:
        """The model in the words of a config. Raises `Odd` where its blocks differ."""
        g = self.graph
        norms = [key for key in (*(b.norm for b in self.blocks), self.norm) if key]
        arguments = {b.parts["out"]: self.format.arguments(g, b.parts) for b in self.blocks}
        first = next(iter(arguments.values()))
        return Facts(
            width=g.node(self.blocks[0].parts["out"]).type.width,
            depth=len(self.blocks),
            eps=alike("eps", {key: g.node(key).params.eps for key in norms}) if norms else None,  # type: ignore[attr-defined]
            vocab=self._vocab(),
            tied=self.tied if self.head else None,
            block={name: alike(name, {k: a[name] for k, a in arguments.items()}) for name in first},
        )

    def _vocab(self) -> int | None:
        shape = self.shape(f"{self.embed}.weight") if self.embed else None
        return shape[0] if shape else None


def read_stack(g: Graph, format: Format) -> Stack:
    """The model as a stack of the format's blocks. Raises `Odd` with the first thing that does not fit."""
    trace = Trace(g)
    if _ends_in_block(trace, g.output):
        parts, key = format.read(trace, g.output)
        stack = Stack(g, format, (Block(parts),))
    else:
        stack, key = _read_whole(trace, format)
    _nothing_else(trace, key)
    if stack.head and g.node(stack.head).shares not in (None, stack.embed):
        raise trace.odd(stack.head, "tied to another step than the embedding")
    return stack


def _ends_in_block(t: Trace, key: str) -> bool:
    """Whether a block stands there by itself: a linear over a product, with or without a norm between."""
    if t.name(key) != "linear":
        return False
    below = t.graph.inputs(t.skip(key))[0]
    if t.name(below) == "norm":
        below = t.graph.inputs(t.skip(below))[0]
    return t.name(below) in PRODUCTS


def _read_whole(t: Trace, format: Format) -> tuple[Stack, str]:
    """The stack from its end to its embedding, and what that reads."""
    key, head, norm, embed = t.skip(t.graph.output), None, None, None
    if t.name(key) == "linear":
        head = t.at(key, "linear")
        key = t.graph.inputs(head)[0]
    if t.name(key) == "norm":
        norm = t.at(key, "norm")
        key = t.graph.inputs(norm)[0]
    blocks = []
    while t.name(key) == "residual" or not blocks:
        block, key = _read_block(t, key, format)
        blocks.append(block)
    if t.name(key) == "embed":
        embed = t.at(key, "embed")
        key = t.graph.inputs(embed)[0]
    return Stack(t.graph, format, tuple(reversed(blocks)), embed, norm, head), key


def _read_block(t: Trace, key: str, format: Format) -> tuple[Block, str]:
    """x + block(norm(x)), and x."""
    residual = t.at(key, "residual")
    x, leaves = t.graph.inputs(residual)
    parts, entering = format.read(t, leaves)
    norm = t.at(entering, "norm")
    if t.source(norm) != t.skip(x):
        raise t.odd(norm, f"reading another stream than the residual around it, {t.skip(x)}")
    return Block(parts, norm), x


def _nothing_else(t: Trace, key: str) -> None:
    """What is left must be the model's input."""
    t.at(key, "tokens", "signal")
    for other in t.graph.keys:
        if other not in t.seen:
            raise t.odd(other, "beside what a checkpoint has")
