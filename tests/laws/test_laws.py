"""The laws of the whole compiler, over random specs that use every operator and construct."""

from __future__ import annotations

import importlib.util
import itertools
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import smrdsl
from smrdsl.core.errors import Report
from smrdsl.core.source import Source
from smrdsl.graph.show import from_json, show, to_json
from smrdsl.passes.order import FUSIONS
from smrdsl.runtime.model import CompiledModel
from smrdsl.syntax.format import format_text
from tests.laws.random_specs import ALL, CAUSAL, specs
from tests.laws.reference import close, evaluate

LAWS = settings(
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=(Phase.generate,),  # a spec is short enough to read as it is; shrinking takes minutes
)
LENGTH = 7
EQUAL = 1e-12
"""The same operations: only where memory lies, which convolutions mind, may tell."""


def compiled(text: str, name: str, dtype: str = "float64") -> CompiledModel:
    diagnostics = [d for d in smrdsl.check_text(text) if d.severity == "error"]
    assert not diagnostics, f"{text}\n{diagnostics[0]}"
    return smrdsl.compile_text(text, name, dtype=dtype, mode="infer", length=LENGTH)


def sequence(model: CompiledModel, dtype: torch.dtype, length: int = LENGTH) -> torch.Tensor:
    torch.manual_seed(0)
    if model.graph.node(model.graph.input).type.kind == "index":
        return torch.randint(0, 11, (2, length))
    return torch.randn(2, length, 3, dtype=dtype)


def streamed(model: CompiledModel, u: torch.Tensor, cuts: list[int]) -> torch.Tensor:
    """The output for a sequence that is fed in chunks; the last one's for a pooled model."""
    state = model.initial_state(u.shape[0])
    outputs = []
    for chunk in torch.tensor_split(u, sorted(cuts), dim=1):
        y, state = model(chunk, state=state, return_state=True)
        outputs.append(y)
    return outputs[-1] if outputs[-1].dim() == 2 else torch.cat(outputs, 1)


def stepped(model: CompiledModel, u: torch.Tensor) -> torch.Tensor:
    state = model.initial_state(u.shape[0])
    outputs = []
    for t in range(u.shape[1]):
        y, state = model.step(u[:, t], state)
        outputs.append(y)
    return outputs[-1] if model.fx(u).dim() == 2 else torch.stack(outputs, 1)


@LAWS
@given(specs(), st.sampled_from(["base", "twin"]), st.lists(st.integers(0, LENGTH), max_size=3))
def test_parallel_is_step_is_any_chunking_is_reference(text: str, name: str, cuts: list[int]) -> None:
    model = compiled(text, name)
    u = sequence(model, torch.float64)
    with torch.no_grad():
        y = model(u)
        assert close(y, evaluate(model, u), 1e-9), text
        assert close(stepped(model, u), y, 1e-9), text
        assert close(streamed(model, u, cuts), y, 1e-9), text


@LAWS
@given(specs(), st.lists(st.integers(0, LENGTH), max_size=2))
def test_float32_agrees_with_float64(text: str, cuts: list[int]) -> None:
    exact, model = compiled(text, "base"), compiled(text, "base", "float32")
    u = sequence(model, torch.float32)
    with torch.no_grad():
        wanted = exact(u.double() if u.is_floating_point() else u)
        for y in (model(u), stepped(model, u), streamed(model, u, cuts)):
            assert close(y.double(), wanted, 1e-4), text


@settings(LAWS, max_examples=20)
@given(specs(timed=True), st.sampled_from(["base", "twin"]), st.lists(st.integers(0, LENGTH), max_size=3))
def test_the_same_with_gaps_between_the_samples(text: str, name: str, cuts: list[int]) -> None:
    model = compiled(text, name)
    u = sequence(model, torch.float64)
    dt = torch.rand(u.shape[:2], dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.5
    cuts = [0, *sorted(cuts), LENGTH]
    with torch.no_grad():
        y, state, parts = model(u, dt), model.initial_state(2), []
        assert close(y, evaluate(model, u, dt), 1e-9), text
        for a, b in itertools.pairwise(cuts):
            part, state = model(u[:, a:b], dt[:, a:b], state=state, return_state=True)
            parts.append(part)
        assert close(parts[-1] if y.dim() == 2 else torch.cat(parts, 1), y, 1e-9), text
        state = model.initial_state(2)
        for t in range(LENGTH):
            last, state = model.step(u[:, t], state, dt[:, t])
        assert close(last, y if y.dim() == 2 else y[:, -1], 1e-9), text
        untimed = compiled(text.replace(", timed=true", ""), name)
        assert close(model(u, torch.ones_like(dt)), untimed(u), 1e-9), text


@settings(LAWS, max_examples=20)
@given(specs(causal=False, timed=True), st.lists(st.integers(0, LENGTH), min_size=2, max_size=2))
def test_a_padded_batch_is_its_sequences_alone(text: str, lengths: list[int]) -> None:
    model = compiled(text, "base")
    u = sequence(model, torch.float64)
    dt = torch.rand(u.shape[:2], dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.5
    with torch.no_grad():
        assert close(model(u, dt), evaluate(model, u, dt), 1e-9), text
        y = model(u, dt, lengths=torch.tensor(lengths))
        for i, n in enumerate(lengths):
            alone, found = model(u[i : i + 1, :n], dt[i : i + 1, :n]), y[i : i + 1]
            assert close(found if y.dim() == 2 else found[:, :n], alone, 1e-9), text


@settings(LAWS, max_examples=25)
@given(specs(causal=False))
def test_what_looks_ahead_is_its_reference_and_refuses_to_step(text: str) -> None:
    model = compiled(text, "base")
    u = sequence(model, torch.float64)
    with torch.no_grad():
        assert close(model(u), evaluate(model, u), 1e-9), text
    if model.graph.look_ahead():
        with pytest.raises(smrdsl.SmrError, match="looks ahead"):
            model.step(u[:, 0], {})


@settings(LAWS, max_examples=25)
@given(specs())
def test_passes_and_json_keep_the_function(text: str) -> None:
    model = compiled(text, "twin")
    plain = smrdsl.compile_text(text, "twin", dtype="float64", mode="infer", disable=["drop-skip", "dead-code"])
    u = sequence(model, torch.float64)
    assert model.state_dict().keys() == plain.state_dict().keys()
    with torch.no_grad():
        assert close(model(u), plain(u), EQUAL), text
    assert show(from_json(to_json(model.graph))) == show(model.graph)


@settings(LAWS, max_examples=25)
@given(specs(causal=False), st.sampled_from(["infer", "train"]), st.sampled_from(["float32", "float64"]))
def test_fusing_keeps_values_and_gradients(text: str, mode: str, dtype: str) -> None:
    options = {"dtype": dtype, "mode": mode, "length": LENGTH}
    one, apart = (
        smrdsl.compile_text(text, "base", disable=disable, **options).eval()
        for disable in ((), [p.name for p in FUSIONS])
    )
    u = sequence(one, getattr(torch, dtype))
    found = [values_and_gradients(model, u) for model in (one, apart)]
    for a, b in zip(*found, strict=True):
        assert close(a.double(), b.double(), 1e-9 if dtype == "float64" else 1e-4), text


def values_and_gradients(model: CompiledModel, u: torch.Tensor) -> list[torch.Tensor]:
    """The output, that without gradients, and the gradients of all that is learned."""
    y, weights = model(u), [*model.parameters()]
    with torch.no_grad():
        again = model(u)
    needed = [w for w in weights if w.requires_grad]
    gradients = torch.autograd.grad(y.square().mean(), needed, allow_unused=True) if y.requires_grad else ()
    return [y.detach(), again, *(g for g in gradients if g is not None)]


@settings(LAWS, max_examples=25)
@given(specs())
def test_twins_share_names_and_initial_values(text: str) -> None:
    base, twin = compiled(text, "base").state_dict(), compiled(text, "twin").state_dict()
    written = {k for k in base.keys() & twin.keys() if base[k].shape == twin[k].shape}
    assert written
    assert all(torch.equal(base[k], twin[k]) for k in written), text


@settings(LAWS, max_examples=20)
@given(specs(causal=False), st.sampled_from(["base", "twin"]))
def test_formatting_keeps_the_graph_and_the_seeded_weights(text: str, name: str) -> None:
    formatted = format_text(Source("<text>", text), Report())
    assert formatted is not None
    before, after = compiled(text, name), compiled(formatted, name)
    assert show(before.graph) == show(after.graph), text
    weights, again = before.state_dict(), after.state_dict()
    assert weights.keys() == again.keys()
    assert all(torch.equal(weights[k], again[k]) for k in weights)


@settings(LAWS, max_examples=8)
@given(specs(), st.sampled_from(["base", "twin"]))
def test_generated_source_and_package_give_the_same_numbers(text: str, name: str) -> None:
    model = compiled(text, name)
    u = sequence(model, torch.float64)
    with tempfile.TemporaryDirectory() as place, torch.no_grad():
        folder = Path(place) / "package"
        model.save(folder)
        again = smrdsl.load(folder)
        spec = importlib.util.spec_from_file_location("generated", folder / "model.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        own = next(v for v in vars(module).values() if isinstance(v, type) and v.__module__ == "generated").load()
        assert close(again(u), model(u), EQUAL)
        assert close(own(u), model(u), EQUAL), text
        state = model.initial_state(2)
        wanted, found = model.step(u[:, 0], state), own.step(u[:, 0], state)
        assert close(wanted[0], found[0], EQUAL)
        assert wanted[1].keys() == found[1].keys()


@settings(LAWS, max_examples=10)
@given(specs())
def test_lengths_and_batches_of_zero_and_one(text: str) -> None:
    model = compiled(text, "base")
    u = sequence(model, torch.float64)
    with torch.no_grad():
        assert close(model(u[:, :1]), evaluate(model, u[:, :1]), 1e-9)
        assert model(u[:0]).shape[0] == 0
        state = model.initial_state(2)
        y, after = model(u[:, :0], state=state, return_state=True)
        assert y.shape[0] == 2
        assert all(torch.equal(after[k], state[k]) for k in state), text


def test_the_generator_knows_every_operator() -> None:
    known = {n for n, o in smrdsl.ops().items() if not o.structural and "input" not in o.families}
    not_mid_stream = {"embed", "pool", "match"}
    assert known - not_mid_stream == set(ALL)
    assert set(CAUSAL) <= set(ALL)
