"""Small models that the tests probe."""

from __future__ import annotations

from smrdsl.core.source import Source
from smrdsl.probe.fit import Recipe
from smrdsl.probe.lab import Lab, Meter
from smrdsl.probe.run import lab_of
from smrdsl.probe.subject import Subject, named
from smrdsl.spec.limits import Limits

SHORT = Recipe(steps=8, batch=4, length=32, rate=0.01)
CORES = (
    "s4d(state=8, dt=0.02..0.4)",
    "s4(state=8, dt=0.02..0.4)",
    "dss(state=4)",
    "s5(state=8, dt=0.02..0.4)",
    "lru(state=4)",
    "ema(state=4)",
    "s6(state=4)",
    "ssd(state=4, head=4)",
)


def host(core: str = CORES[0], width: int = 8, end: str = "linear(1)", start: str = "signal(channels=1)") -> str:
    return f"model m {{\n  {start}\n  linear({width})\n  repeat 2 {{ residual {{ {core} gelu glu }} }}\n  {end}\n}}\n"


def subject(text: str, model: str | None = None) -> Subject:
    return named(Source("test.smr", text), None, model, {}, None, Limits())


def lab(text: str, seeds: int = 1, recipe: Recipe = SHORT, task: str | None = None) -> Lab:
    made = lab_of(subject(text), task, seeds, False, recipe, lambda doing, share: None)
    assert isinstance(made.meter, Meter)
    return made
