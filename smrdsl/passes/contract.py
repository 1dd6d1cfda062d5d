"""What a pass is, and the one loop that runs them.

A pass is pure: it takes a graph and gives another, and its law says what stays equal. `run_all` checks the graph
after each and shows it to `watch`: printing, pictures and timing hang there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar

from smrdsl.graph.check import check
from smrdsl.graph.graph import Graph

Watch = Callable[[str, Graph], None]


class Pass(ABC):
    """A rewrite. Its name is what `--disable` takes; its law is what holds of the graph before and after."""

    name: ClassVar[str]
    law: ClassVar[str]

    @abstractmethod
    def run(self, g: Graph) -> Graph:
        """The graph after the rewrite."""


def run_all(g: Graph, passes: Iterable[Pass], watch: Watch | None = None) -> Graph:
    """Run passes in their order, each result checked."""
    if watch:
        watch("start", g)
    for p in passes:
        g = p.run(g)
        check(g)
        if watch:
            watch(p.name, g)
    return g
