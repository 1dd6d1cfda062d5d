"""smrdsl: stacks of state-space models in a small language, as drawn, checked, fast PyTorch modules.

    import smrdsl
    model = smrdsl.compile("specs/quickstart.smr")
    y = model(u)

What is here is imported when it is first used: checking a spec needs neither torch nor networkx.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

HOMES = {
    "CompiledModel": "smrdsl.runtime.model",
    "Diagnostic": "smrdsl.core.errors",
    "Graph": "smrdsl.graph.graph",
    "Limits": "smrdsl.spec.limits",
    "Operator": "smrdsl.ops.contract",
    "SmrError": "smrdsl.core.errors",
    "SpecError": "smrdsl.core.errors",
    "check": "smrdsl.spec.resolve",
    "check_text": "smrdsl.spec.resolve",
    "compile": "smrdsl.compiler",
    "compile_text": "smrdsl.compiler",
    "layer": "smrdsl.compiler",
    "load": "smrdsl.compiler",
    "lower": "smrdsl.compiler",
    "operator": "smrdsl.ops.custom",
    "render": "smrdsl.draw.render",
    "train": "smrdsl.training.train",
}

__all__ = [*HOMES, "ops", "probe"]

if TYPE_CHECKING:
    from smrdsl import ops as ops
    from smrdsl import probe as probe
    from smrdsl.compiler import compile as compile
    from smrdsl.compiler import compile_text as compile_text
    from smrdsl.compiler import layer as layer
    from smrdsl.compiler import load as load
    from smrdsl.compiler import lower as lower
    from smrdsl.core.errors import Diagnostic as Diagnostic
    from smrdsl.core.errors import SmrError as SmrError
    from smrdsl.core.errors import SpecError as SpecError
    from smrdsl.draw.render import render as render
    from smrdsl.graph.graph import Graph as Graph
    from smrdsl.ops.contract import Operator as Operator
    from smrdsl.ops.custom import operator as operator
    from smrdsl.runtime.model import CompiledModel as CompiledModel
    from smrdsl.spec.limits import Limits as Limits
    from smrdsl.spec.resolve import check as check
    from smrdsl.spec.resolve import check_text as check_text
    from smrdsl.training.train import train as train


def __getattr__(name: str) -> Any:
    if name in ("ops", "probe"):  # rooms that can be called
        return import_module(f"smrdsl.{name}")
    if name not in HOMES:
        raise AttributeError(f"module 'smrdsl' has no attribute {name!r}")
    value = getattr(import_module(HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
