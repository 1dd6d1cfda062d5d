"""Export: a model described as transformers would have it, known before a tensor is made."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smrdsl.checkpoints.config import FILE, read_config
from smrdsl.checkpoints.contract import Entry, Facts, Format
from smrdsl.checkpoints.formats import format_of_graph
from smrdsl.checkpoints.stack import Stack, read_stack
from smrdsl.checkpoints.trace import Odd
from smrdsl.core.errors import SmrError
from smrdsl.graph.graph import Graph

WEIGHTS = "model.safetensors"
MARK = "written_by"
"""A key in the config of what we wrote, so that it may be written over."""


@dataclass(frozen=True, slots=True)
class Description:
    """What transformers calls the model, what its config says, and its tensors."""

    format: Format
    facts: Facts
    entries: list[Entry]

    def config(self, dtype: str) -> dict[str, Any]:
        """The keys of config.json. There are no tokens of special meaning: a spec has none."""
        found = {
            "architectures": [self.format.architecture],
            "model_type": self.format.name,
            "dtype": dtype,
            "bos_token_id": None,
            "eos_token_id": None,
            "pad_token_id": None,
            MARK: "smrdsl",
            **self.format.to_huggingface(self.facts),
        }
        limit = found.get("time_step_limit")
        if limit and limit[1] == math.inf:  # JSON has no infinity; so transformers writes it
            found["time_step_limit"] = [limit[0], {"__float__": "Infinity"}]
        return found


def describe(g: Graph) -> Description:
    """The model as a model of transformers. Raises `SmrError` with the first thing that has no place in one."""
    try:
        format = format_of_graph(g)
        stack = read_stack(g, format)
        _is_whole(stack)
        _has_plain_input(g)
        entries = stack.entries()
        _holds_all(g, entries)
        known = Description(format, stack.facts(), entries)
        format.to_huggingface(known.facts)
    except Odd as odd:
        raise SmrError(f"model {g.name} cannot be one of transformers: {odd}") from None
    return known


def _is_whole(stack: Stack) -> None:
    for what, key in (("embedding", stack.embed), ("norm behind its blocks", stack.norm), ("head", stack.head)):
        if key is None:
            raise Odd(f"it has no {what}")


def _has_plain_input(g: Graph) -> None:
    """transformers takes one sequence of tokens and no gaps between them."""
    start = g.node(g.input)
    for argument in ("timed", "pair"):
        if getattr(start.params, argument, False):
            raise Odd(f"{start.location}: {start.location.text} has {argument}=true")


def _holds_all(g: Graph, entries: list[Entry]) -> None:
    """Every parameter is a part of some tensor."""
    held = {name for e in entries for name in e.parts}
    for key, node, _ in g:
        if any(f"{key}.{name}" not in held for name in g.parameters(key)):
            what = f"{node.location.text} ({key})"
            raise Odd(f"{node.location}: {what} has weights, and there is no place for them")


def is_export(folder: Path) -> bool:
    """Whether a folder holds what was written from such a description, and nothing else."""
    try:
        config = read_config(folder)
        return config is not None and MARK in config and {p.name for p in folder.iterdir()} <= {FILE, WEIGHTS}
    except (SmrError, OSError):
        return False


def shown(config: dict[str, Any]) -> str:
    """The text of config.json."""
    return json.dumps(config, indent=2, sort_keys=True) + "\n"
