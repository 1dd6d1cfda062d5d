"""A frozen stream runs natively: what it leaves, and its state, are those of `model.step`, for whole models."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import smrdsl
from smrdsl.kernels import native_calls
from smrdsl.runtime import decode
from smrdsl.runtime.decode import Decoder, Layer
from smrdsl.runtime.errors import InputError
from tests.native.kernels import close, needs_library

pytestmark = needs_library
ROOT = Path(__file__).parents[2]
STD = {
    "mamba": "mamba(3)",
    "mamba2": "mamba2(state=5, head=4, limit=0.01..2.0)",
    "mega": "mega(state=3, qk=4, chunk=3)",
    "h3": "h3(state=4, shift=3)",
    "s4_block": "s4_block(state=4)",
    "s5_block": "s5_block(state=4)",
    "spade": "spade",
}
STACK = """import "std/mamba.smr"
model m {{ signal(channels=3)  linear(8)  repeat 2 {{ residual {{ norm(rms)  {} }} }}  pool(mean)  linear(2) }}"""
LM = """import "std/mamba.smr"
model lm {
  tokens(vocab=11)  tok: embed(8)
  repeat 2 { residual { norm(rms)  mamba(3) } }
  linear(11, tie=tok, bias=false)
}"""


def compiled(text: str, **options: object) -> smrdsl.CompiledModel:
    return smrdsl.compile_text(text, mode="decode", **options)  # type: ignore[arg-type]


def inputs(model: smrdsl.CompiledModel, batch: int, length: int, seed: int = 0) -> Tensor:
    type_, g = model.graph.node(model.graph.input).type, torch.Generator().manual_seed(seed)
    if type_.kind == "index":
        return torch.randint(type_.vocab or 1, (batch, length), generator=g)
    return torch.randn(batch, length, type_.width, generator=g)


def parts(stream: object) -> list[str]:
    """The native runs of a stream, and the layers between them."""
    made = stream._decoder  # type: ignore[attr-defined]
    assert isinstance(made, Decoder)
    return [p.key if isinstance(p, Layer) else "" for p in made._parts]


@torch.no_grad()
def same_as_steps(model: smrdsl.CompiledModel, batch: int, length: int = 5) -> object:
    """A stream whose outputs and state were held against steps."""
    u, state, stream = inputs(model, batch, length), model.initial_state(batch), model.stream(batch, frozen=True)
    for t in range(length):
        wanted, state = model.step(u[:, t], state)
        close(stream(u[:, t]), wanted, 1e-4)
    found = stream.state
    assert list(found) == list(model.initial_state(batch))
    for name, value in state.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        if value.numel():
            close(found[name].float(), value.float(), 1e-4)
    return stream


@pytest.mark.parametrize("name", STD)
@pytest.mark.parametrize("batch", [1, 4])
def test_components_of_the_library(name: str, batch: int) -> None:
    text = f'import "std/{name}.smr"\nmodel m {{ signal(channels=8)  norm(layer)  {STD[name]}  gelu }}'
    try:
        model = compiled(text)
        model.initial_state(1)
    except smrdsl.SmrError as error:
        pytest.skip(str(error))
    stream = same_as_steps(model, batch)
    assert sum(part == "" for part in parts(stream)) == (2 if name in ("mega", "spade") else 1)


@pytest.mark.parametrize(
    ("file", "model"),
    [("quickstart", "quickstart"), ("byte_lm", "byte_lm"), ("hybrid", "hybrid"), ("hybrid", "hybrid_smr")],
)
def test_specs(file: str, model: str) -> None:
    made = smrdsl.compile(ROOT / "specs" / f"{file}.smr", model=model, mode="decode", set={"depth": 4})
    stream = same_as_steps(made, 2, 3)
    assert [part for part in parts(stream) if part] == (["layers.3.mixer.attention"] if file == "hybrid" else [])


def test_samples_chunks_and_rates_in_any_order() -> None:
    model = compiled(STACK.format("s4d(state=4)"))
    u, state, stream = inputs(model, 2, 12), model.initial_state(2), model.stream(2, frozen=True)
    with torch.no_grad():
        for part, rate in (
            (u[:, 0], None), (u[:, 1:4], None), (u[:, 4], None), (u[:, 5], 2.0), (u[:, 6], None), (u[:, 7:7], None),
            (u[:, 7], None), (u[:, 8:], 0.5),
        ):  # fmt: skip
            run = model.step if part.dim() == 2 else lambda u, s, rate: model(u, state=s, return_state=True, rate=rate)
            wanted, state = run(part, state, rate=rate)
            found = stream(part, rate=rate)
            if part.dim() == 2 or part.shape[1]:
                close(found, wanted, 1e-4)
    for name, value in state.items():
        close(stream.state[name].float(), value.float(), 1e-4)


def test_a_state_is_read_kept_and_put_back() -> None:
    model = compiled(STACK.format("mamba(3)"))
    u, stream = inputs(model, 2, 6), model.stream(2, frozen=True)
    for t in range(3):
        stream(u[:, t])
    kept = stream.state
    copies = {name: value.clone() for name, value in kept.items()}
    first = [stream(u[:, t]) for t in range(3, 6)]
    assert all(torch.equal(kept[name], copies[name]) for name in kept)
    stream.state = kept
    again = [stream(u[:, t]) for t in range(3, 6)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    stream.state = {name: value[:1] for name, value in kept.items()}  # another batch
    close(stream(u[:1, 3]), first[0][:1])
    stream.state["pool.value"].zero_()
    stream.state["pool.count"].zero_()
    alone = model.stream(1, frozen=True)
    alone.state = {**stream.state}
    assert torch.equal(alone(u[:1, 4]), stream(u[:1, 4]))
    stream.state = {}
    with pytest.raises(InputError, match="belongs to another model"):
        stream(u[:1, 4])


def test_outputs_are_not_overwritten() -> None:
    model = compiled(STACK.format("gelu"))
    u, stream = inputs(model, 1, 2), model.stream(1, frozen=True)
    first = stream(u[:, 0])
    kept = first.clone()
    stream(u[:, 1])
    assert torch.equal(first, kept)
    assert not first.requires_grad


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_stays_in_its_sequence(value: float) -> None:
    model = compiled(STACK.format("mamba(3)"))
    u = inputs(model, 3, 4)
    clean, stained = model.stream(3, frozen=True), model.stream(3, frozen=True)
    v = u.clone()
    v[1, 1] = value
    for t in range(4):
        wanted, found = clean(u[:, t]), stained(v[:, t])
        assert torch.equal(found[::2], wanted[::2])
    assert not found[1].isfinite().any()


def test_many_samples_stay_exact() -> None:
    model = compiled("model m { signal(channels=2)  s4(state=8)  gelu  ema(state=2)  s5(state=4) }")
    u, stream = inputs(model, 1, 2000), model.stream(1, frozen=True)
    with torch.no_grad():
        close(torch.stack([stream(x) for x in u.unbind(1)], 1), model(u), 1e-4)


@pytest.mark.parametrize("text", ["model m { signal(channels=1) s4d(state=2) }", "model m { signal(channels=1) skip }"])
@pytest.mark.parametrize("batch", [0, 1, 65])
def test_the_smallest_models_and_odd_batches(text: str, batch: int) -> None:
    model, u = compiled(text), torch.randn(batch, 3, 1)
    stream = model.stream(batch, frozen=True)
    with torch.no_grad():
        torch.testing.assert_close(torch.stack([stream(u[:, t]) for t in range(3)], 1), model(u), rtol=1e-4, atol=1e-6)


def test_inputs_of_other_kinds() -> None:
    model = compiled(STACK.format("s4d(state=4)"))
    u = inputs(model, 2, 1)[:, 0]
    wanted = model.stream(2, frozen=True)(u)
    stream = model.stream(2, frozen=True)
    stream(u)
    stream.state = model.initial_state(2)
    assert torch.equal(stream(u.t().contiguous().t()), wanted)
    stream.state = model.initial_state(2)
    assert torch.equal(stream(u.clone().requires_grad_()), wanted)
    stream.state = model.initial_state(2)
    close(stream(torch.complex(u, -u).conj().imag), wanted)  # of which memory holds the opposite
    for bad in (u[:, :2], u[None, None], u.long(), "u"):
        with pytest.raises(InputError, match="the input must be"):
            stream(bad)
    with pytest.raises(InputError, match="float64"):
        stream(u.double())
    with pytest.raises(InputError, match="the state is for 2 sequences, the input has 1"):
        stream(u[:1])
    stream.state = model.initial_state(2)
    assert torch.equal(stream(u), wanted)


@pytest.mark.parametrize("why", ["off", "float64", "autocast", "func"])
def test_where_native_kernels_do_not_run_torch_does(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = compiled(STACK.format("gelu" if why == "func" else "s4d(state=4)"))
    u = inputs(model, 2, 3)
    wanted = [model.stream(2, frozen=True)(u[:, 0])]
    if why == "off":
        monkeypatch.setattr(decode, "THERE", False)
        monkeypatch.setattr(native_calls, "THERE", False)
    if why == "float64":
        model, u = model.double(), u.double()
    stream = model.stream(2, frozen=True)
    if why == "autocast":
        with torch.autocast("cpu"):
            found = stream(u[:, 0])
    elif why == "func":
        found = torch.func.vmap(lambda x: stream(x))(u[None, :, 0])[0]
    else:
        found = stream(u[:, 0])
    assert stream._decoder is None
    close(found.float(), wanted[0], 2e-2 if why == "autocast" else 1e-5)


class Doubled(nn.Module):
    """A user's layer in the place of another."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def test_what_a_user_puts_in_runs_as_it_is() -> None:
    model = compiled("model m { signal(channels=3)  linear(4)  mine: gelu  s4d(state=2)  last: gelu }")
    model.mine = Doubled()
    seen: list[Tensor] = []
    model.get_submodule("last").register_forward_hook(lambda module, given, made: seen.append(made))
    stream = same_as_steps(model, 2)
    assert parts(stream) == ["", "mine", "", "last"]
    assert len(seen) == 10


def test_training_is_heeded() -> None:
    model = compiled("model m { signal(channels=64)  dropout(0.5)  gelu }")
    u, stream = torch.ones(1, 64), model.stream(1, frozen=True)
    assert (stream(u) > 0).all()
    model.train()
    assert (stream(u) == 0).any()
    model.eval()
    assert (stream(u) > 0).all()


def test_a_copy_of_a_stream_goes_its_own_way() -> None:
    model = compiled(STACK.format("mamba(3)"))
    u, stream = inputs(model, 1, 4), model.stream(1, frozen=True)
    stream(u[:, 0])
    others = [copy.deepcopy(stream), copy.copy(stream)]
    wanted = [stream(u[:, t]) for t in (1, 2)]
    for other in others:
        assert all(torch.equal(other(u[:, t]), y) for t, y in zip((1, 2), wanted, strict=True))


def test_weights_are_those_of_the_first_sample() -> None:
    model = compiled(STACK.format("s4d(state=4)"))
    u, stream = inputs(model, 1, 2), model.stream(1, frozen=True)
    wanted = [copy.deepcopy(stream)(u[:, 0]), None]
    stream(u[:, 0])
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    stream.state = model.initial_state(1)
    assert torch.equal(stream(u[:, 0]), wanted[0])


def test_a_sample_is_one_native_call(monkeypatch: pytest.MonkeyPatch) -> None:
    model = compiled(LM)
    stream, token, calls = model.stream(1, frozen=True), torch.tensor([1]), []
    run = decode.StepProgram.run
    monkeypatch.setattr(decode.StepProgram, "run", lambda self, *given: calls.append(given) or run(self, *given))
    for _ in range(3):
        stream(token)
    assert len(calls) == 3


def test_tokens_of_32_bits() -> None:
    model, tokens = compiled(LM), torch.tensor([[1, 2, 3]])
    wide, narrow = model.stream(1, frozen=True), model.stream(1, frozen=True)
    for t in range(3):
        assert torch.equal(narrow(tokens[:, t].int()), wide(tokens[:, t]))
    assert narrow._inside


def test_generating_is_native(monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompt = compiled(LM), torch.tensor([[1, 2, 3], [4, 5, 6]])
    calls = []
    run = decode.StepProgram.run
    monkeypatch.setattr(decode.StepProgram, "run", lambda self, *given: calls.append(given) or run(self, *given))
    found = model.generate(prompt, 8, seed=3)
    assert len(calls) == 7
    monkeypatch.setattr(decode, "THERE", False)
    assert torch.equal(model.generate(prompt, 8, seed=3), found)
