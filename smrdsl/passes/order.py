"""The passes in the order in which they run."""

from __future__ import annotations

from collections.abc import Iterable

from smrdsl.core.errors import SmrError, did_you_mean
from smrdsl.passes.contract import Pass
from smrdsl.passes.dead_code import DeadCode
from smrdsl.passes.drop_skip import DropSkip

PASSES: tuple[Pass, ...] = (
    DropSkip(),  # first: a skip must not keep dead nodes alive
    DeadCode(),
)


def passes_without(disabled: Iterable[str]) -> tuple[Pass, ...]:
    """The passes but for some, by name. Raises `SmrError` for a name that there is not."""
    names = [p.name for p in PASSES]
    disabled = set(disabled)
    for name in sorted(disabled - set(names)):
        raise SmrError(f"no pass `{name}`{did_you_mean(name, names)}; there are {', '.join(names)}")
    return tuple(p for p in PASSES if p.name not in disabled)
