"""Limits: what a spec may ask for before it is refused, so that a stranger's text costs bounded time and memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of text, nodes after expansion, parameters of the model, depth of components in components."""

    text: int = 1_000_000
    nodes: int = 100_000
    parameters: int = 10**12
    depth: int = 64
