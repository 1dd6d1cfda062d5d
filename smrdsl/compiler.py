"""The compiler, down one screen: text -> tree -> checked model -> graph -> passes -> plan -> layers -> fx.

Each arrow is one call into the room that owns it. `lower` stops before torch is needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smrdsl.core.errors import Diagnostic, SmrError, SpecError
from smrdsl.core.source import Source
from smrdsl.graph.build import build
from smrdsl.graph.graph import Graph
from smrdsl.passes.contract import Watch, run_all
from smrdsl.passes.order import passes_without
from smrdsl.plan.plan import DEFAULT_LENGTH, Conditions, make_plan
from smrdsl.spec.bundle import bundle
from smrdsl.spec.files import read_source
from smrdsl.spec.limits import Limits
from smrdsl.spec.resolve import Resolver
from smrdsl.spec.single import layer_resolver
from smrdsl.spec.values import Value, Word

if TYPE_CHECKING:
    from smrdsl.runtime.model import CompiledModel

MODES = ("train", "infer", "decode")


@dataclass(frozen=True, slots=True)
class Lowered:
    """What is known of a model before torch: its graph, the canonical text of its file, and the warnings."""

    graph: Graph
    text: str
    warnings: tuple[Diagnostic, ...] = ()


def lower_source(
    source: Source,
    path: Path | None = None,
    *,
    model: str | None = None,
    set: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
) -> Lowered:
    """From a text to the graph of one of its models. Raises `SpecError` with all that is wrong."""
    return _lowered(Resolver(source, path, limits or Limits()), model, values(set or {}))


def _lowered(resolver: Resolver, model: str | None, settings: Mapping[str, Value]) -> Lowered:
    if not resolver.load():
        raise SpecError(resolver.report.diagnostics)
    chosen = resolver.model(resolver.pick(model), settings)
    if chosen is None or resolver.report.failed:
        raise SpecError(resolver.report.diagnostics)
    assert resolver.unit is not None
    text = resolver.source.text if resolver.file else bundle(resolver.unit)
    return Lowered(build(chosen), text, tuple(resolver.report.diagnostics))


def compile_lowered(
    lowered: Lowered,
    *,
    length: int | None = None,
    batch: int | None = None,
    mode: str = "train",
    seed: int = 0,
    dtype: Any = None,
    device: Any = None,
    weights: str | os.PathLike[str] | None = None,
    disable: Iterable[str] = (),
    watch: Watch | None = None,
) -> CompiledModel:
    """From a graph to a module: passes, plan, layers, fx. Imports torch."""
    graph = run_all(lowered.graph, passes_without(disable), watch)
    conditions = conditions_for(graph, length, batch, mode, dtype, device)
    plan = make_plan(graph, conditions)

    import torch

    from smrdsl.lowering.layers import make_layers
    from smrdsl.runtime.model import CompiledModel
    from smrdsl.runtime.weights import load_into

    model = CompiledModel(graph, make_layers(graph, seed), plan, lowered.text)
    if weights is not None:
        load_into(model, weights)
    try:
        model.to(device=conditions.device, dtype=getattr(torch, conditions.dtype) if dtype or not weights else None)
    except (RuntimeError, AssertionError) as error:
        raise SmrError(f"cannot use device {conditions.device}: {str(error).splitlines()[0]}") from None
    return model.train(mode == "train")


def conditions_for(
    graph: Graph, length: int | None, batch: int | None, mode: str, dtype: Any, device: Any
) -> Conditions:
    """The job that the plan is made for, checked. Raises `SmrError`."""
    if mode not in MODES:
        raise SmrError(f"no mode `{mode}`; there are {', '.join(MODES)}")
    for name, number in (("length", length), ("batch", batch)):
        if number is not None and (not isinstance(number, int) or number < 1):
            raise SmrError(f"{name} must be a whole number of at least 1, this is {number}")
    kind = str(dtype or "float32").removeprefix("torch.")
    if kind not in ("float32", "float64"):
        raise SmrError(f"no dtype `{kind}`; there are float32 and float64 (bfloat16 by torch.autocast)")
    return Conditions(length or graph.length or DEFAULT_LENGTH, batch or 1, mode, kind, str(device or "cpu"))


def values(given: Mapping[str, Any]) -> dict[str, Value]:
    """Python values as values of the language: a str is a word."""
    from smrdsl.core.source import Span

    spans = {n: Span(Source("<set>", str(v)), 0, len(str(v))) for n, v in given.items()}
    return {n: Word(v, spans[n]) if isinstance(v, str) else v for n, v in given.items()}


# --- what users call


def compile(path: str | os.PathLike[str], model: str | None = None, **options: Any) -> CompiledModel:
    """Compile a model of a `.smr` file to a module.

    model: its name, by default the first of the file. set: values for its parameters. length, batch: what to plan for
    (any other runs too). mode: "train" gives it in training mode, "infer" and "decode" in evaluation mode. seed: of the
    initial weights, drawn per parameter path. weights: a safetensors file. dtype, device: as torch has them. disable:
    names of passes. limits: `Limits`. Raises `SpecError` with all diagnostics.
    """
    limits = options.get("limits") or Limits()
    return _compile(read_source(Path(path), limits.text), Path(path), model, options)


def compile_text(text: str, model: str | None = None, **options: Any) -> CompiledModel:
    """As `compile`, from the text itself; imports other than `std/...` are not possible."""
    return _compile(Source("<text>", text), None, model, options)


def _compile(source: Source, path: Path | None, model: str | None, options: dict[str, Any]) -> CompiledModel:
    early = {name: options.pop(name) for name in ("set", "limits") if name in options}
    return compile_lowered(lower_source(source, path, model=model, **early), **options)


def lower(path: str | os.PathLike[str], model: str | None = None, **options: Any) -> Graph:
    """The graph of a model, without making a tensor. Options: set, limits. Raises `SpecError`."""
    limits = options.get("limits") or Limits()
    return lower_source(read_source(Path(path), limits.text), Path(path), model=model, **options).graph


def layer(text: str, width: int, **options: Any) -> CompiledModel:
    """One step or block of the language as an nn.Module: `layer("mamba(state=16)", width=256)`.

    It takes (batch, length, width). Components of the standard library are known by name. Raises `SpecError`.
    """
    early = {name: options.pop(name) for name in ("limits",) if name in options}
    source = Source("<layer>", text)
    return compile_lowered(_lowered(layer_resolver(source, width, **early), None, {}), **options)


def load(folder: str | os.PathLike[str], mode: str = "infer") -> CompiledModel:
    """The model of a package on disk. Reads data only: runs no code from the folder. Raises `SmrError`."""
    from smrdsl.runtime.package import load_package

    return load_package(folder, mode)
