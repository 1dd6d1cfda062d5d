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
from smrdsl.core.source import Source, Span
from smrdsl.graph.build import build
from smrdsl.graph.graph import Graph
from smrdsl.ops.contract import Range
from smrdsl.passes.contract import Watch, run_all
from smrdsl.passes.order import passes_without
from smrdsl.plan.plan import DEFAULT_LENGTH, Plan, make_plan
from smrdsl.runtime.conditions import conditions
from smrdsl.spec.bundle import bundle
from smrdsl.spec.files import read_source
from smrdsl.spec.limits import Limits
from smrdsl.spec.resolve import Resolver
from smrdsl.spec.single import layer_resolver
from smrdsl.spec.values import Value, Word

if TYPE_CHECKING:
    from smrdsl.runtime.model import CompiledModel


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
    set: Mapping[str, Value] | None = None,
    limits: Limits | None = None,
) -> Lowered:
    """From a text to the graph of one of its models. Raises `SpecError` with all that is wrong."""
    return _lowered(Resolver(source, path, limits or Limits()), model, set or {})


def _lowered(resolver: Resolver, model: str | None, settings: Mapping[str, Value]) -> Lowered:
    if not resolver.load():
        raise SpecError(resolver.report.diagnostics)
    chosen = resolver.model(resolver.pick(model), settings)
    if chosen is None or resolver.report.failed:
        raise SpecError(resolver.report.diagnostics)
    assert resolver.unit is not None
    text = resolver.source.text if resolver.file else bundle(resolver.unit)
    return Lowered(build(chosen), text, tuple(resolver.report.diagnostics))


def plan_lowered(
    lowered: Lowered,
    *,
    length: int | None = None,
    batch: int | None = None,
    mode: str = "train",
    dtype: Any = None,
    device: Any = None,
    disable: Iterable[str] = (),
    threads: int | None = None,
    memory: int | str | None = None,
    watch: Watch | None = None,
) -> tuple[Graph, Plan]:
    """From a graph to the one that is executed, and how: passes and plan. Needs no torch."""
    disable = tuple(disable)
    graph = run_all(lowered.graph, passes_without(disable), watch)
    default = graph.length or DEFAULT_LENGTH
    wanted = conditions(
        default if length is None else length,
        1 if batch is None else batch,
        mode,
        dtype or "float32",
        device or "cpu",
        disable,
        threads,
        memory,
    )
    return graph, make_plan(graph, wanted)


def compile_lowered(
    lowered: Lowered,
    *,
    seed: int = 0,
    weights: str | os.PathLike[str] | None = None,
    watch: Watch | None = None,
    **options: Any,
) -> CompiledModel:
    """From a graph to a module: passes, plan, layers, fx. The options are those of `plan_lowered`. Imports torch."""
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise SmrError(f"the seed must be a whole number, this is {seed!r}")
    graph, plan = plan_lowered(lowered, watch=watch, **options)
    wanted = plan.conditions

    import torch

    from smrdsl.lowering.layers import make_layers
    from smrdsl.runtime.checkpoint import load_weights
    from smrdsl.runtime.model import CompiledModel

    try:
        place = torch.empty(0, device=wanted.device).device
    except (RuntimeError, AssertionError) as error:
        raise SmrError(f"cannot use the device `{wanted.device}`: {str(error).splitlines()[0]}") from None
    model = CompiledModel(graph, make_layers(graph, seed), plan, lowered.text, watch)
    if weights is not None:
        load_weights(model, graph, weights)
    return model.to(place, getattr(torch, wanted.dtype)).train(wanted.mode == "train")


# --- what users call


def compile(path: str | os.PathLike[str], model: str | None = None, **options: Any) -> CompiledModel:
    """Compile a model of a `.smr` file to a module.

    model: its name, by default the first of the file. set: values for its parameters. length, batch: what to
    plan for (any other runs too). mode: "train" gives it in training mode, "infer" and "decode" in evaluation
    mode. seed: of the initial weights, drawn per parameter path. weights: a safetensors file, a package, or a
    checkpoint of transformers or mamba_ssm (docs/checkpoints.md). dtype (float32 unless given), device: as torch
    has them. disable: names of passes. threads: to plan for, torch's unless given. memory: what the peak has to fit
    in, bytes or a text such as "2GiB"; the model then runs parts of itself again where they cannot be kept.
    limits: `Limits`.
    Raises `SpecError` with all diagnostics.
    """
    limits = options.get("limits") or Limits()
    return _compile(read_source(Path(path), limits.text), Path(path), model, options)


def compile_text(text: str, model: str | None = None, **options: Any) -> CompiledModel:
    """As `compile`, from the text itself; imports other than `std/...` are not possible."""
    return _compile(Source("<text>", text), None, model, options)


def _compile(source: Source, path: Path | None, model: str | None, options: dict[str, Any]) -> CompiledModel:
    settings, limits = values(options.pop("set", None)), options.pop("limits", None)
    return compile_lowered(lower_source(source, path, model=model, set=settings, limits=limits), **options)


def lower(
    path: str | os.PathLike[str],
    model: str | None = None,
    *,
    set: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
) -> Graph:
    """The graph of a model, without making a tensor. Raises `SpecError`."""
    source = read_source(Path(path), (limits or Limits()).text)
    return lower_source(source, Path(path), model=model, set=values(set), limits=limits).graph


def layer(text: str, width: int, **options: Any) -> CompiledModel:
    """One step or block of the language as an nn.Module: `layer("mamba(state=16)", width=256)`.

    It takes (batch, length, width). Components of the standard library are known by name. Raises `SpecError`.
    """
    resolver = layer_resolver(Source("<layer>", text), width, options.pop("limits", None))
    return compile_lowered(_lowered(resolver, None, {}), **options)


def load(folder: str | os.PathLike[str], mode: str = "infer") -> CompiledModel:
    """The model of a package on disk. Reads data only: runs no code from the folder. Raises `SmrError`."""
    from smrdsl.runtime.package import load_package

    return load_package(folder, mode)


def values(given: Mapping[str, Any] | None) -> dict[str, Value]:
    """Python values as the language's: a name is a word, a pair of numbers a range. Raises `SmrError`."""
    return {name: _value(name, value) for name, value in (given or {}).items()}


def _value(name: str, value: Any) -> Value:
    match value:
        case str():
            return Word(value, Span(Source("<set>", value), 0, len(value))) if value.isidentifier() else value
        case bool() | int() | float() | None | Word() | Range():
            return value
        case (int() | float() as low, int() | float() as high) if isinstance(value, tuple) and low <= high:
            return Range(low=float(low), high=float(high))
        case list():
            return [_value(name, v) for v in value]
    if hasattr(value, "__index__"):  # a number of numpy's
        return int(value)
    what = "numbers, words (str), lists and ranges (low, high) can be set"
    raise SmrError(f"set: `{name}` is a {type(value).__name__}, {value!r}; {what}")
