"""Models of pairs: two sequences run through one stack, one behind the other in the batch, until `match` joins them."""

from __future__ import annotations

import io

import pytest
import torch

import smrdsl
from smrdsl.core.errors import SpecError
from smrdsl.graph.cost import rows, total
from smrdsl.graph.show import from_json, show, to_json
from smrdsl.lowering.source import write_source
from smrdsl.runtime.errors import InputError
from smrdsl.runtime.model import CompiledModel

STACK = "residual { norm(layer)  smr(memory=2)  s4d(state=4)  gelu }  pool(mean)"
HEAD = "linear(6)  gelu  linear(2)"
MODELS = {
    "tokens": f"model m {{ tokens(vocab=9, length=8, pair=true)  embed(4)  {STACK}  match  {HEAD} }}",
    "signal": f"model m {{ signal(channels=3, pair=true)  linear(4)  {STACK}  match  {HEAD} }}",
    "timed": f"model m {{ signal(channels=3, pair=true, timed=true)  linear(4)  {STACK}  match  {HEAD} }}",
}


def compiled(text: str) -> CompiledModel:
    return smrdsl.compile_text(text, mode="infer", dtype="float64")


def given(model: CompiledModel, length: int = 9, batch: int = 3) -> tuple[torch.Tensor, ...]:
    """An input, and its gaps where the model is timed."""
    g = torch.Generator().manual_seed(0)
    if model.graph.node(model.graph.input).type.kind == "index":
        return (torch.randint(9, (batch, 2, length), generator=g),)
    u = torch.randn(batch, 2, length, 3, generator=g, dtype=torch.float64)
    return (u, 0.5 + torch.rand(batch, 2, length, generator=g, dtype=torch.float64)) if model.graph.timed else (u,)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> CompiledModel:
    return compiled(MODELS[request.param])


def test_both_go_through_one_stack(model: CompiledModel) -> None:
    """The same as the stack on each, its two vectors joined by hand."""
    alone_text = model.text.replace(", pair=true", "").replace("match", "").replace("linear(6)", "skip")
    alone = compiled(alone_text[: alone_text.index("skip")] + "}")
    alone.load_state_dict({k: v for k, v in model.state_dict().items() if k in alone.state_dict()})
    inputs = given(model)
    a, b = (alone(*(x[:, i] for x in inputs)) for i in (0, 1))
    *_, first, second = (layer for layer in model.children() if isinstance(layer, type(model.linear)))
    hidden = torch.nn.functional.gelu(first(torch.cat((a, b, a - b, a * b), dim=-1)))
    torch.testing.assert_close(model(*inputs), second(hidden), rtol=1e-9, atol=1e-12)


def test_chunks_and_steps_are_the_whole(model: CompiledModel) -> None:
    inputs = given(model)
    wanted = model(*inputs)
    stream = model.stream(3)
    y = None
    for at in (0, 1, 2):
        y = stream(*(x[:, :, at] for x in inputs))
    y = stream(*(x[:, :, 3:] for x in inputs))
    torch.testing.assert_close(y, wanted, rtol=1e-9, atol=1e-12)
    state = model.initial_state(3)
    assert {tensor.shape[0] for tensor in state.values()} == {6}
    for t in range(9):
        y, state = model.step(inputs[0][:, :, t], state, *(x[:, :, t] for x in inputs[1:]))
    torch.testing.assert_close(y, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("batch", "length"), [(0, 4), (2, 0), (1, 1)])
def test_empty_and_short_ones(model: CompiledModel, batch: int, length: int) -> None:
    y = model(*given(model, length, batch))
    assert y.shape == (batch, 2)
    assert torch.isfinite(y).all()


def test_each_of_a_padded_pair_has_its_own_length(model: CompiledModel) -> None:
    inputs, lengths = given(model), torch.tensor([[9, 3], [1, 9], [5, 4]])
    found = model(*inputs, lengths=lengths)
    for i, (first, second) in enumerate(lengths.tolist()):
        fill = tuple(x[i : i + 1].clone() for x in inputs)
        for x in fill:  # what stands behind the end is of no matter
            x[:, 0, first:], x[:, 1, second:] = x[:, 0, :1], x[:, 1, :1]
        torch.testing.assert_close(model(*fill, lengths=lengths[i : i + 1]), found[i : i + 1], rtol=1e-9, atol=1e-12)
    even = torch.full((3, 2), 9)
    torch.testing.assert_close(model(*inputs, lengths=even), model(*inputs), rtol=1e-9, atol=1e-12)


def test_a_rate_is_for_both() -> None:
    model = compiled(MODELS["tokens"])
    (u,) = given(model)
    swapped = model(u.flip(1), rate=2.0)
    assert not torch.allclose(swapped, model(u, rate=2.0)), "the first and the second are told apart"
    assert not torch.allclose(model(u, rate=2.0), model(u))


def test_the_two_gradients_meet_in_one_weight() -> None:
    model = compiled(MODELS["tokens"])
    (u,) = given(model)
    model(u).sum().backward()
    touched = model.embed.weight.grad.abs().sum(dim=1) > 0
    assert set(touched.nonzero().flatten().tolist()) == set(u.unique().tolist())


def test_what_is_no_pair_is_refused(model: CompiledModel) -> None:
    u, *dt = given(model)
    for wrong in (u[:, 0], u[:, :1], torch.cat((u, u), dim=1), u[:, :, 0]):
        with pytest.raises(InputError, match=r"must be .* \(batch, 2, length"):
            model(wrong, *dt)
    with pytest.raises(InputError, match=r"must be .* \(batch, 2"):
        model.step(u[:, 0, 0], model.initial_state(3))
    with pytest.raises(InputError, match="the state is for 4 sequences, the input has 6"):
        model(u, *dt, state=model.initial_state(2))
    with pytest.raises(InputError, match=r"lengths must be whole numbers \(3, 2\)"):
        model(u, *dt, lengths=torch.tensor([9, 9, 9]))
    if dt:
        with pytest.raises(InputError, match=r"dt must be reals \(3, 2, 9\)"):
            model(u, dt[0][:, 0])


def test_the_written_source_takes_pairs_too(model: CompiledModel) -> None:
    text = write_source(model.graph.with_strategies(model.plan.strategies))
    names: dict = {"__file__": "model.py"}
    exec(compile(text, "model.py", "exec"), names)
    written = names["M"]().double().eval()
    written.load_state_dict(model.state_dict())
    inputs = given(model)
    assert torch.equal(written(*inputs), model(*inputs))
    state = model.initial_state(3)
    at = [x[:, :, 0] for x in inputs]
    assert torch.equal(written.step(at[0], state, *at[1:])[0], model.step(at[0], state, *at[1:])[0])


def test_a_graph_of_pairs_is_shown_and_read_back(model: CompiledModel) -> None:
    g = model.graph
    assert "embed(width=4) <- tokens : (2B, L, 4)" in show(g) or "linear(width=4) <- signal : (2B, L, 4)" in show(g)
    assert "match = match() <- pool : (B, 16)" in show(g)
    assert to_json(from_json(to_json(g))) == to_json(g)


def test_a_pair_costs_twice_until_it_is_joined() -> None:
    pair = compiled(MODELS["tokens"]).graph
    alone = compiled(f"model m {{ tokens(vocab=9, length=8)  embed(4)  {STACK} }}").graph
    found, wanted = (total(r for r in rows(g, 8) if r.path in alone.keys) for g in (pair, alone))
    assert (found.flops, found.state) == (2 * wanted.flops, 2 * wanted.state)
    assert wanted.activations < found.activations < 2 * wanted.activations  # what is made of weights is kept once
    assert found.parameters == wanted.parameters
    assert [r.flops for r in rows(pair, 8) if r.path == "linear"] == [2 * 16 * 6]


def test_compiled_and_exported() -> None:
    model = compiled(MODELS["tokens"]).float()
    (u,) = given(model)
    batch, length = torch.export.Dim("batch", min=2), torch.export.Dim("length", min=2)
    exported = torch.export.export(model, (u,), dynamic_shapes={"u": {0: batch, 2: length}})
    file = io.BytesIO()
    torch.export.save(exported, file)
    file.seek(0)
    other = torch.randint(9, (5, 2, 13))
    torch.testing.assert_close(torch.export.load(file).module()(other), model(other), rtol=1e-4, atol=1e-5)
    quick = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(quick(u), model(u))


ERRORS = {
    "tokens(vocab=9, pair=true)  embed(4)  pool(mean)": "the model ends with a pair, (2B, 4)",
    "signal(channels=2, pair=true)": "the model ends with a pair, (2B, L, 2)",
    "tokens(vocab=9, pair=true)  match": "match: tokens have no channels",
    "tokens(vocab=9, pair=true)  embed(4)  match": "match: the pair still has its time axis",
    "tokens(vocab=9)  embed(4)  pool(mean)  match": "match: the stream is no pair",
    "signal(channels=4, pair=true)  pool(mean)  match  match": "match: the stream is no pair",
    "signal(channels=4, pair=true)  pool(mean)  residual { match  linear(4) }": "residual: one stream is of pairs",
}


@pytest.mark.parametrize(("steps", "message"), ERRORS.items())
def test_what_does_not_fit_is_told_once(steps: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        smrdsl.compile_text(f"model m {{ {steps} }}")
    (only,) = caught.value.diagnostics
    assert only.code == "E0401"
    assert only.message.startswith(message)


def test_what_follows_a_pool_may_stand_before_match() -> None:
    text = "model m { signal(channels=4, pair=true)  pool(max)  residual { norm(layer)  gelu }  linear(3)  match }"
    assert compiled(text)(torch.randn(2, 2, 5, 4, dtype=torch.float64)).shape == (2, 12)
