"""What a pass is, and the one loop that runs them.

A pass is pure: it takes a graph and gives another, and its law says what stays equal. `run_all` checks the graph
after each and shows it to `watch`: printing, pictures and timing hang there.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar

from smrdsl import __version__
from smrdsl.graph.check import check
from smrdsl.graph.graph import Graph
from smrdsl.graph.show import to_json

Watch = Callable[[str, Graph], None]


class Pass(ABC):
    """A rewrite. Its name is what `--disable` takes; its law is what holds of the graph before and after."""

    name: ClassVar[str]
    law: ClassVar[str]

    @abstractmethod
    def run(self, g: Graph) -> Graph:
        """The graph after the rewrite."""


class PassFailed(AssertionError):
    """A pass raised an error or broke the graph: a bug of ours. `graph` is what it was given."""

    def __init__(self, name: str, graph: Graph, error: Exception) -> None:
        super().__init__(f"the pass {name} failed: {type(error).__name__}: {error}")
        self.name = name
        self.graph = graph


def run_all(g: Graph, passes: Iterable[Pass], watch: Watch | None = None) -> Graph:
    """Run passes in their order, each result checked. Raises `PassFailed`."""
    if watch:
        watch("start", g)
    for p in passes:
        try:
            after = p.run(g)
            check(after)
        except Exception as error:
            raise PassFailed(p.name, g, error) from error
        g = after
        if watch:
            watch(p.name, g)
    return g


def reproducer(failure: PassFailed) -> str:
    """What shows the failure again: the graph as JSON, and the pass. `from_json` reads the graph."""
    return json.dumps(
        {"smrdsl": __version__, "pass": failure.name, "graph": json.loads(to_json(failure.graph))}, indent=1
    )
