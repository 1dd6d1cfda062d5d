"""What `--dump-passes` writes: the graph after each pass, by number, as text and as a picture, and what each took."""

from __future__ import annotations

import contextlib
import time
from itertools import count
from pathlib import Path

from smrdsl.core.errors import SmrError
from smrdsl.graph.graph import Graph
from smrdsl.graph.show import show
from smrdsl.passes.contract import STARTS

TIMES = "times.txt"


class Dump:
    """A watcher of passes, which writes in place of what an earlier run left. Raises `OSError`.

    `start` is the model as it was written, `planned` what is executed before anything is fused.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers = count()
        self.times: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)
        for old in (*folder.glob("[0-9][0-9]-*.*"), folder / TIMES):
            old.unlink(missing_ok=True)
        self.before = time.perf_counter()

    def __call__(self, name: str, g: Graph) -> None:
        if name not in STARTS:
            self.times.append(f"{1000 * (time.perf_counter() - self.before):9.2f} ms  {name}\n")
            (self.folder / TIMES).write_text("".join(self.times), encoding="utf-8")
        file = self.folder / f"{next(self.numbers):02}-{name}"
        file.with_suffix(".txt").write_text(show(g), encoding="utf-8")
        self._draw(g, file)
        self.before = time.perf_counter()

    def _draw(self, g: Graph, file: Path) -> None:
        """The picture, or its DOT text where nothing here can render it."""
        from smrdsl.draw.render import render

        try:
            render(g, file.with_suffix(".svg"), level="op")
        except SmrError:
            with contextlib.suppress(SmrError):
                render(g, file.with_suffix(".dot"), level="op")
