"""Layers: the torch modules of a graph's nodes, with initial values drawn per parameter from (seed, path)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import torch
from torch import nn

from smrdsl.graph.graph import Graph

Draw = Callable[[str], torch.Generator]


def draw_for(seed: int, path: str) -> Draw:
    """Generators for the parameters of one node: the same for the same seed and path, whatever else a model holds."""

    def draw(name: str) -> torch.Generator:
        digest = hashlib.blake2b(f"{seed}:{path}.{name}".encode(), digest_size=8).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)

    return draw


def make_layers(g: Graph, seed: int = 0) -> dict[str, nn.Module]:
    """A module for each node but the input, in float32 on the CPU."""
    layers: dict[str, nn.Module] = {}
    for key, node, _ in g:
        if not node.op.layer:
            continue
        layer = node.op.load_layer()(node.params, g.input_types(key), node.type)
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters(draw_for(seed, key))
        layers[key] = layer
    return layers


def set_strategies(layers: Mapping[str, nn.Module], strategies: Mapping[str, str]) -> None:
    """Tell layers how to execute a whole sequence."""
    for key, strategy in strategies.items():
        layers[key].strategy = strategy


def nest(layers: Mapping[str, nn.Module]) -> nn.Module:
    """One module that holds the layers under their paths; runs of numbers become a ModuleList."""
    tree: dict = {}
    for key, layer in layers.items():
        *outer, last = key.split(".")
        inside = tree
        for name in outer:
            inside = inside.setdefault(name, {})
        inside[last] = layer
    return _container(tree)


def _container(tree: dict) -> nn.Module:
    children = {n: c if isinstance(c, nn.Module) else _container(c) for n, c in tree.items()}
    if list(children) == [str(i) for i in range(len(children))]:
        return nn.ModuleList(children.values())
    container = nn.Module()
    for name, child in children.items():
        container.add_module(name, child)
    return container


def initial_state(
    g: Graph, layers: Mapping[str, nn.Module], batch: int, device: torch.device, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """The state before the first sample: `path.name` -> tensor, batch axis first."""
    state: dict[str, torch.Tensor] = {}
    for key, _, _ in g:
        specs = g.state(key)
        if not specs:
            continue
        if hasattr(layers[key], "initial_state"):
            values = layers[key].initial_state(batch, device, dtype)
        else:
            values = tuple(
                torch.zeros(
                    (batch, *(0 if d == "T" else d for d in s.shape)),
                    device=device,
                    dtype=torch.int64 if s.index else dtype,
                )
                for s in specs.values()
            )
        state.update({f"{key}.{n}": v for n, v in zip(specs, values, strict=True)})
    return state
