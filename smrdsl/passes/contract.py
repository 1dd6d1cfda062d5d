"""What a pass is, and the one loop that runs them.

A pass is pure: it takes a graph and gives another, and its law says what stays equal. `run_all` checks the graph
after each and shows it to `watch`: printing, pictures and timing hang there.

There are two kinds. Those that simplify make the model's own graph. Those that fuse make the graph that is executed, of
the model's with the strategies of its plan: they find nodes that run faster as one (`fuse.py`), and the class of a
layer, beside the pass or in a `layer.py` in its folder, which computes that (`layer.py` here).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar

from smrdsl import __version__
from smrdsl.graph.check import check
from smrdsl.graph.graph import Graph
from smrdsl.graph.show import show, to_json
from smrdsl.plan.plan import Conditions

Watch = Callable[[str, Graph], None]
"""Is shown the name of a pass and the graph after it; before the first pass of a kind, one of `STARTS`."""
START, PLANNED = "start", "planned"
STARTS = (START, PLANNED)


class Pass(ABC):
    """A rewrite. Its name is what `--disable` takes; its law is what holds of the graph before and after."""

    name: ClassVar[str]
    law: ClassVar[str]

    def fits(self, conditions: Conditions) -> bool:
        """Whether it is to run under these conditions; asked of those that fuse."""
        return True

    @abstractmethod
    def run(self, g: Graph) -> Graph:
        """The graph after the rewrite; the very same one where there was nothing to do."""


def kernels_fit(conditions: Conditions) -> bool:
    """Whether native kernels take the streams: for passes that put several operations into one of them."""
    return conditions.device == "cpu" and conditions.dtype == "float32"


class PassFailed(AssertionError):
    """A pass raised an error or broke the graph: a bug of ours. `graph` is what it was given."""

    def __init__(self, name: str, graph: Graph, error: Exception) -> None:
        super().__init__(f"the pass {name} failed: {type(error).__name__}: {error}")
        self.name = name
        self.graph = graph


def run_all(g: Graph, passes: Iterable[Pass], watch: Watch | None = None, start: str = START) -> Graph:
    """Run passes in their order, each result checked. Raises `PassFailed`."""
    if watch:
        watch(start, g)
    for p in passes:
        try:
            after = p.run(g)
            if after is not g:
                check(after)
        except Exception as error:
            raise PassFailed(p.name, g, error) from error
        g = after
        if watch:
            watch(p.name, g)
    return g


def reproducer(failure: PassFailed) -> str:
    """What shows the failure again: the pass and its graph, as JSON for `from_json`, or as text where it is fused."""
    g = failure.graph
    fused = any(node.fusion for _, node, _ in g)
    graph = {"text": show(g)} if fused else {"graph": json.loads(to_json(g))}
    return json.dumps({"smrdsl": __version__, "pass": failure.name, **graph}, indent=1)
