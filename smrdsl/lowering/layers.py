"""Layers: the torch modules of a graph's nodes, with initial values drawn per parameter from (seed, path)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import fx, nn

from smrdsl.core.errors import SmrError
from smrdsl.graph.graph import Graph
from smrdsl.ops.contract import State

Draw = Callable[[str], torch.Generator]
Tree = dict[str, "nn.Module | Tree"]


def draw_for(seed: int, path: str) -> Draw:
    """Generators for one node's parameters: the same for a seed and path, whatever else a model holds."""

    def draw(name: str) -> torch.Generator:
        digest = hashlib.blake2b(f"{seed}:{path}.{name}".encode(), digest_size=8).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)

    return draw


def make_layers(g: Graph, seed: int | None = 0, device: str = "cpu") -> dict[str, nn.Module]:
    """A module in float32 for each node but the input; without a seed, parameters are as memory was."""
    layers: dict[str, nn.Module] = {}
    with _defaults(device):
        for key, node, _ in g:
            if node.op.layer:
                layers[key] = _make_layer(g, key, seed)
    return layers


def _make_layer(g: Graph, key: str, seed: int | None) -> nn.Module:
    """The module of one node. Raises `SmrError` where there is no memory for it."""
    node = g.node(key)
    try:
        layer = node.op.load_layer()(node.params, *g.seen_types(key))
        if seed is not None and hasattr(layer, "reset_parameters"):
            layer.reset_parameters(draw_for(seed, key))
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        size = sum(p.size for p in g.parameters(key).values())
        place = f"{node.location}: {node.location.text}"
        raise SmrError(f"{place}: there is no memory for {size:,} parameters, {4 * size:,} bytes") from error
    return layer


@contextmanager
def _defaults(device: str) -> Iterator[None]:
    """What is drawn is the same whatever a program has set for its own tensors."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(dtype)


def nest(layers: Mapping[str, nn.Module]) -> nn.Module:
    """One module that holds the layers under their paths; runs of numbers become a ModuleList."""
    tree: Tree = {}
    for key, layer in layers.items():
        *outer, last = key.split(".")
        inside: Any = tree
        for name in outer:
            inside = inside.setdefault(name, {})
        inside[last] = layer
    return _container(tree)


def _container(tree: Tree) -> nn.Module:
    children = {n: _container(c) if isinstance(c, dict) else c for n, c in tree.items()}
    if list(children) == [str(i) for i in range(len(children))]:
        return nn.ModuleList(children.values())
    container = nn.Module()
    for name, child in children.items():
        if name in _attributes():
            raise SmrError(f"every torch module has an attribute `{name}`: give that step another label")
        container.add_module(name, child)
    return container


@cache
def _attributes() -> frozenset[str]:
    """What a GraphModule, and so every module, has already."""
    return frozenset(dir(fx.GraphModule(nn.Module(), fx.Graph())))


def set_strategies(root: nn.Module, strategies: Mapping[str, str]) -> None:
    """Tell the layers under their paths how to execute a whole sequence."""
    for key, strategy in strategies.items():
        root.get_submodule(key).strategy = strategy  # type: ignore[assignment]


def initial_state(
    root: nn.Module,
    kept: Mapping[str, Mapping[str, State]],
    batch: int,
    device: torch.device,
    dtype: torch.dtype,
) -> dict[str, torch.Tensor]:
    """The state before the first sample of the nodes that keep one: `path.name` -> tensor, batch first."""
    state: dict[str, torch.Tensor] = {}
    for key, kinds in kept.items():
        layer = root.get_submodule(key)
        if hasattr(layer, "initial_state"):
            values = layer.initial_state(batch, device, dtype)  # type: ignore[operator]
        else:
            values = tuple(_zeros(kind, batch, device, dtype) for kind in kinds.values())
        state.update({f"{key}.{n}": v for n, v in zip(kinds, values, strict=True)})
    return state


def _zeros(kind: State, batch: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """What is kept before the first sample; nothing of what grows with the stream."""
    shape = (batch, *(0 if d == "T" else int(d) for d in kind.shape))
    return torch.zeros(shape, device=device, dtype=torch.int64 if kind.index else dtype)
