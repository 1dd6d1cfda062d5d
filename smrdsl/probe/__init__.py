"""probe: what irregular sampling does to a model, layer by layer, and what State Memory Replay changes about it.

`smrdsl.probe(path)` runs it; `smrdsl probe FILE` writes the page. Nothing here knows a core by name: a core is asked
through its step, which is affine in its state (`systems.py`).

    subject     the model, its twins by edits of the language, and what it can be probed with
    fit         the small training loop
    systems     A and B of a core, measured; spectral radius, modes, bounds
    follow      states over time on two grids
    stability, nss, sampling, volterra, insert    the parts
    result, sentences, tables, plots, report      what is told
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smrdsl.probe.result import Result


class _Callable(ModuleType):
    """The room and the public function have one name, so the room can be called."""

    def __call__(self, path_or_model: Any, part: str | None = None, **options: Any) -> Result:
        """Probe a model; `smrdsl.probe.run.probe` tells the options."""
        from smrdsl.probe.run import probe

        return probe(path_or_model, part, **options)


sys.modules[__name__].__class__ = _Callable
