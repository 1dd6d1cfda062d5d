"""Subject: the model that is probed, its twins by edits of the language, and what it can be probed with.

All comparisons are of one text: the host is the model without `smr`, its twins are the host with one edit more, and
what they share has the same names and the same initial values. Passes are left out, so that every core is a layer that
can be looked at.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from torch import Tensor, nn

from smrdsl.compiler import Lowered, compile_lowered, lower_source, values
from smrdsl.core.errors import SmrError
from smrdsl.core.source import Source
from smrdsl.graph.graph import Graph
from smrdsl.passes.order import FUSIONS, PASSES
from smrdsl.probe.words import some
from smrdsl.runtime.model import CompiledModel
from smrdsl.runtime.weights import FILE
from smrdsl.spec.limits import Limits
from smrdsl.spec.values import Value

HOST, SMR, CONTROL, STEPS = "host", "smr", "control", "smr steps"
EDITS: Mapping[str, str] = {
    HOST: "",
    SMR: "place smr(memory=4) before ssm",
    CONTROL: "place conv1d(kernel=4, depthwise=true, init=identity) before ssm",
    STEPS: "place smr(memory=4, steps=true) before ssm",
}
"""Variant -> what turns the host into it. The control is a linear filter of the same size, with the same start."""
TITLES: Mapping[str, str] = {
    HOST: "the model without SMR",
    SMR: "with SMR",
    CONTROL: "with a linear filter instead",
    STEPS: "with SMR that sees the step",
}


Weights = str | os.PathLike[str] | Mapping[str, Tensor]


@dataclass(frozen=True)
class Subject:
    """A model of a text. `path` is what its imports are relative to; weights are a file's, or in hand."""

    source: Source
    path: Path | None
    name: str
    settings: Mapping[str, Value]
    weights: Weights | None = None
    limits: Limits = field(default_factory=Limits)

    @cached_property
    def given(self) -> Lowered:
        """The model as it was written. Raises `SpecError`."""
        return lower_source(self.source, self.path, model=self.name, set=self.settings, limits=self.limits)

    @cached_property
    def has_smr(self) -> bool:
        """Whether the model as it was written replays memories already."""
        return bool(gated(self.given.graph))

    def variant(self, name: str) -> Lowered:
        """The model of a variant; what was written, where that is it. Raises `SpecError`."""
        return self.given if name == self.as_given else self.twin(EDITS[name])

    def edit(self, name: str) -> str:
        """What makes a variant of what was written; nothing, where that is it."""
        return "" if name == self.as_given else f"{self._removed}{EDITS[name]}".strip()

    @property
    def _removed(self) -> str:
        return "remove smr  " if self.has_smr else ""

    def twin(self, edit: str) -> Lowered:
        """The host with one edit more. Raises `SpecError`."""
        twin = "probed"
        while twin in self.source.text:
            twin += "_"
        text = f"{self.source.text}\nmodel {twin} extends {self.name} {{ {self._removed}{edit} }}\n"
        source = Source(self.source.path, text)
        return lower_source(source, self.path, model=twin, set=self.settings, limits=self.limits)

    @property
    def as_given(self) -> str:
        """Which variant was written."""
        return SMR if self.has_smr else HOST

    @property
    def variants(self) -> list[str]:
        """Those that are trained: a gate that sees the step only where the model is told the gaps, and has none yet."""
        g = self.given.graph
        sees = any(getattr(g.node(key).params, "steps", False) for key in gated(g))
        return [HOST, SMR, CONTROL, STEPS] if g.timed and not sees else [HOST, SMR, CONTROL]


def plain(lowered: Lowered, seed: int, weights: str | os.PathLike[str] | None = None) -> CompiledModel:
    """The module of a model as it is written, with no pass."""
    passes = [p.name for p in (*PASSES, *FUSIONS)]
    return compile_lowered(lowered, seed=seed, disable=passes, weights=weights)


def trained_weights(subject: Subject) -> Mapping[str, Tensor]:
    """The weights that were given, in float32. Raises `SmrError` where they are not the model's, or not finite."""
    assert subject.weights is not None
    if isinstance(subject.weights, Mapping):
        found = {name: tensor.float() for name, tensor in subject.weights.items()}
    else:
        found = plain(subject.given, 0, _package(subject.weights)).float().state_dict()
    odd = [name for name, tensor in found.items() if not bool(tensor.isfinite().all())]
    if odd:
        raise SmrError(f"the weights hold numbers that are not finite, in {some(odd)}: there is nothing to probe")
    return found


def _package(weights: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """What was given, or the package in it, where that is the folder of a training. Raises `SmrError`."""
    place = Path(weights)
    run = place.resolve().parent.parent
    if place.suffix == ".ckpt" and (run / "model" / FILE).is_file():
        raise SmrError(f"{weights} is what a training goes on from; its best weights are in {run}: --weights {run}")
    inside = place / "model"
    return inside if (inside / FILE).is_file() and not (place / FILE).exists() else weights


def take_over(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a model the weights that it shares the names of."""
    own = model.state_dict()
    model.load_state_dict({**own, **{name: tensor for name, tensor in weights.items() if name in own}})


def clocked(lowered: Lowered, timed: bool, stepped: bool | None = None) -> Lowered:
    """The same model, told the gaps or not; the weights are the same. Raises `SmrError` where it cannot be told.

    stepped: whether its gates are told too; by default as it was written, and never where nobody is told.
    """
    g = lowered.graph
    if timed:
        for key in cores(g):
            if not g.node(key).uses_step:
                raise SmrError(f"`{g.node(key).op.name}` ({key}) has no step that a gap could scale")
    changes: dict[str, dict[str, bool]] = {g.input: {"timed": timed}}
    if stepped is not None or not timed:
        changes |= {key: {"steps": timed and bool(stepped)} for key in gated(g)}
    entries = [(k, replace(n, params=n.params.model_copy(update=changes.get(k))), i) for k, n, i in g]
    return replace(lowered, graph=g.rebuild(entries))


def cores(g: Graph) -> list[str]:
    """The keys of the state-space cores."""
    return [key for key, node, _ in g if "ssm" in node.op.families]


def gated(g: Graph) -> list[str]:
    """The keys of the steps that replay memories."""
    return [key for key, node, _ in g if node.op.name == "smr"]


# --- what a model can be probed with


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a model can learn the signal tasks; `why_not` says what keeps it from that."""

    channels: int
    outputs: int
    tokens: int
    paired: bool
    why_not: str = ""

    @property
    def fits(self) -> bool:
        return not self.why_not


def fit_of(g: Graph) -> Fit:
    """What goes into a model and comes out, held against the tasks: curves in, a number per curve and sample out."""
    start, end = g.node(g.input).type, g.node(g.output).type
    tokens = (start.vocab or 1) if start.kind == "index" else 0
    channels, outputs = (0 if tokens else start.width), end.width
    why = ""
    if g.paired:
        why = "it takes pairs of sequences, and the tasks are single signals"
    elif tokens:
        why = "it reads tokens, which have no values between the samples"
    elif not end.timed:
        why = "it pools over time, and the tasks have a target at every sample"
    elif outputs > channels:
        why = f"it gives {outputs} numbers a sample from {channels}, and the tasks have one target for each signal"
    return Fit(channels, outputs, tokens, g.paired, why)


# --- from what the user has


def subject_of(
    given: str | os.PathLike[str] | CompiledModel,
    model: str | None = None,
    settings: Mapping[str, object] | None = None,
    weights: str | os.PathLike[str] | None = None,
    limits: Limits | None = None,
) -> Subject:
    """The subject of a file, or of a compiled model that still has its text. Raises `SpecError`, `SmrError`."""
    from smrdsl.spec.files import read_source

    bounds = limits or Limits()
    if isinstance(given, CompiledModel):
        return _subject_of_model(given, settings, bounds)
    path = Path(given)
    return named(read_source(path, bounds.text), path, model, values(settings), weights, bounds)


def _subject_of_model(model: CompiledModel, settings: Mapping[str, object] | None, limits: Limits) -> Subject:
    weights = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    subject = named(Source("<model>", model.text), None, model.graph.name, values(settings), weights, limits)
    own = plain(subject.given, 0).state_dict()
    if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in weights.items()}:
        raise SmrError("the model was compiled with other parameters than its text has by default: give them as set=")
    return subject


def named(
    source: Source,
    path: Path | None,
    model: str | None,
    settings: Mapping[str, Value],
    weights: Weights | None,
    limits: Limits,
) -> Subject:
    """The subject of a text, whose model has state-space cores. Raises `SpecError`, `SmrError`."""
    lowered = lower_source(source, path, model=model, set=settings, limits=limits)
    if not cores(lowered.graph):
        raise SmrError(f"the model `{lowered.graph.name}` has no state-space core, so there is nothing to probe")
    return Subject(source, path, lowered.graph.name, settings, weights, limits)
