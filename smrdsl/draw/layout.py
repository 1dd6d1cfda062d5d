"""Layout: DOT text becomes SVG, PNG or PDF, by the program `dot`, or else by the Graphviz in pygraphviz.

Neither is needed for anything else; where both are missing, a `SmrError` says what to install.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from smrdsl.core.errors import SmrError

DENSITY = {"png": "160"}
"""Dots per inch, where the form has dots."""
HARMLESS = "Fontconfig warning"
"""Told by the Graphviz in pygraphviz about font settings that are newer than it."""


def lay_out(dot: str, form: str) -> bytes:
    """The picture as `svg`, `png` or `pdf`. Raises `SmrError` where there is no Graphviz or it fails."""
    program = shutil.which("dot")
    picture = _by_program(program, dot, form) if program else _in_process(dot, form)
    if not picture:
        raise SmrError(f"Graphviz gave no {form}; the endings .dot and .mmd work without it")
    return picture


def _by_program(program: str, dot: str, form: str) -> bytes:
    density = [f"-Gdpi={DENSITY[form]}"] if form in DENSITY else []
    command = [program, f"-T{form}", *density]
    done = subprocess.run(command, input=dot.encode(), capture_output=True, check=False)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise SmrError(f"{program} cannot draw this: {reason}")
    return done.stdout


def _in_process(dot: str, form: str) -> bytes:
    try:
        import pygraphviz
    except ImportError:
        raise SmrError(
            f'a picture in .{form} needs Graphviz: pip install "smrdsl[render]", or the program `dot`; '
            "the endings .dot and .mmd work without"
        ) from None
    graph = pygraphviz.AGraph(string=dot)
    if form in DENSITY:
        graph.graph_attr["dpi"] = DENSITY[form]
    try:
        with _messages_filtered():
            return graph.draw(format=form, prog="dot") or b""
    except ValueError as error:
        raise SmrError(f"Graphviz cannot draw this: {error}") from None


@contextlib.contextmanager
def _messages_filtered() -> Iterator[None]:
    """Hold back what native code writes to standard error, and then tell what of it matters."""
    if sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        standard = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # pygraphviz warns of graphs that we do not find large
                yield
        finally:
            os.dup2(standard, 2)
            os.close(standard)
        held.seek(0)
        lines = held.read().decode(errors="replace").splitlines()
    for line in lines:
        if not line.startswith(HARMLESS):
            print(line, file=sys.stderr)
