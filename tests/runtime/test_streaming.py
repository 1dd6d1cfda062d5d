"""State goes in and comes out: chunks, steps and streams give what the whole gives, whatever the clock."""

import math
import sys

import pytest
import torch
from safetensors.torch import load, save

import smrdsl
from smrdsl.runtime import model as runtime
from smrdsl.runtime.errors import InputError

CORES = [
    "s4d(state=4)",
    "s4d(state=4, disc=bilinear)",
    "s4(state=4)",
    "s4(state=4, disc=zoh)",
    "s4d(state=4, steps=decay)",
]


def compiled(text: str, **options):
    return smrdsl.compile_text(text, dtype="float64", mode="infer", **options)


def core(step: str, timed: bool = False, **options):
    start = f"signal(channels=2, length=16, timed={str(timed).lower()})"
    return compiled(f"model m {{ {start} {step} linear(2) {step} }}", **options)


@pytest.fixture
def exact(model):
    return model.double()


@pytest.fixture
def x(u):
    return u.double()


# --- state


def test_what_a_state_is(model):
    state = model.initial_state(3)
    assert {key.rpartition(".")[0] for key in state} == {
        "layers.0.smr", "layers.1.smr", "layers.0.s4d", "layers.1.s4d", "s4", "attention", "pool",
    }  # fmt: skip
    assert all(isinstance(v, torch.Tensor) and v.shape[0] == 3 for v in state.values())
    assert not any(v.any() for v in state.values())
    assert state["pool.count"].dtype == torch.int64
    assert model.initial_state(1, dtype=torch.float64)["s4.x"].dtype == torch.float64
    assert model.initial_state(1, device="meta")["s4.x"].is_meta


def test_nothing_is_changed_in_place(exact, x):
    state = exact.initial_state(2)
    for _ in range(3):
        kept = {key: value.clone() for key, value in state.items()}
        _, by_step = exact.step(x[:, 0], state)
        _, state_after = exact(x, state=state, return_state=True)
        assert all(torch.equal(state[key], kept[key]) for key in kept)
        assert by_step.keys() == state.keys() == state_after.keys()
        state = by_step


def test_chunks_steps_and_streams_are_the_whole(exact, x):
    wanted = exact(x)
    state, stream = exact.initial_state(2), exact.stream(2)
    for t in range(9):
        y, state = exact.step(x[:, t], state)
    torch.testing.assert_close(y, wanted)
    for part in (x[:, :4], x[:, 4], x[:, 5:5], x[:, 5:]):
        y = stream(part)
    torch.testing.assert_close(y, wanted)
    assert not y.requires_grad
    torch.testing.assert_close(stream.state, state)
    y, _ = exact(x, return_state=True)
    torch.testing.assert_close(y, wanted)


def test_a_state_may_be_cut_joined_saved_and_begun_in_the_middle(exact, x):
    _, state = exact(x[:, :5], return_state=True)
    wanted = exact(x)
    alone = [exact(x[i : i + 1, 5:], state={k: v[i : i + 1] for k, v in state.items()}) for i in range(2)]
    torch.testing.assert_close(torch.cat(alone), wanted)
    torch.testing.assert_close(exact(x[:, 5:], state=load(save(state))), wanted)


def test_a_stream_may_be_rewound(exact, x):
    stream = exact.stream(2)
    stream(x[:, :3])
    kept = stream.state
    first = stream(x[:, 3:])
    stream.state = kept
    assert torch.equal(stream(x[:, 3:]), first)


def test_tokens_stream():
    model = smrdsl.compile_text("model m { tokens(vocab=5) embed(4) s4d(state=2) linear(5) }", mode="infer")
    tokens = torch.arange(6).reshape(2, 3) % 5
    stream = model.stream(2)
    found = torch.stack([stream(tokens[:, t]) for t in range(3)], 1)
    torch.testing.assert_close(found, model(tokens))
    torch.testing.assert_close(model.stream(2)(tokens), model(tokens))


# --- gradients


def gradients(model, y):
    return dict(zip(model.state_dict(), torch.autograd.grad(y, list(model.parameters())), strict=True))


def test_gradients_through_chunks_are_those_of_the_whole(exact, x):
    x.requires_grad_()
    wanted = gradients(exact, exact(x).square().sum())
    (wanted_x,) = torch.autograd.grad(exact(x).square().sum(), x)
    state = exact.initial_state(2)
    for part in (x[:, :2], x[:, 2:7], x[:, 7:]):
        y, state = exact(part, state=state, return_state=True)
    for name, value in gradients(exact, y.square().sum()).items():
        torch.testing.assert_close(value, wanted[name])
    state = exact.initial_state(2)
    for t in range(9):
        y, state = exact.step(x[:, t], state)
    (found_x,) = torch.autograd.grad(y.square().sum(), x)
    torch.testing.assert_close(found_x, wanted_x)


def test_nothing_leaks_through_a_detached_state(exact, x):
    before, after = x[:, :4].clone().requires_grad_(), x[:, 4:].clone().requires_grad_()
    _, state = exact(before, return_state=True)
    assert any(value.requires_grad for value in state.values())
    y = exact(after, state={key: value.detach() for key, value in state.items()})
    found_before, found_after = torch.autograd.grad(y.sum(), (before, after), allow_unused=True)
    assert found_before is None
    assert found_after.any()


# --- time


def doubled(model):
    """The same model with all its steps doubled."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("log_dt"):
                parameter += math.log(2)
    return model


@pytest.mark.parametrize("step", CORES[:4])
def test_a_rate_scales_the_steps(step):
    model, other = core(step), doubled(core(step))
    u = torch.randn(2, 7, 2, dtype=torch.float64)
    wanted = other(u)
    assert (model(u) - wanted).abs().max() > 1e-6
    for rate in (2, 2.0, torch.tensor(2.0)):
        torch.testing.assert_close(model(u, rate=rate), wanted)
        torch.testing.assert_close(model(u, rate=rate, return_state=True)[0], wanted)
    stream = model.stream(2)
    torch.testing.assert_close(torch.stack([stream(u[:, t], rate=2.0) for t in range(7)], 1), wanted)


@pytest.mark.parametrize("step", CORES)
def test_gaps_of_one_are_no_gaps_and_gaps_of_two_a_rate(step):
    model, timed = core(step), core(step, timed=True)
    u = torch.randn(2, 7, 2, dtype=torch.float64)
    ones = torch.ones(2, 7, dtype=torch.float64)
    for gap, wanted in ((ones, model(u)), (2 * ones, model(u, rate=2.0))):
        torch.testing.assert_close(timed(u, gap), wanted)
        torch.testing.assert_close(timed(u, dt=gap, return_state=True)[0], wanted)
        stream = timed.stream(2)
        torch.testing.assert_close(torch.stack([stream(u[:, t], gap[:, t]) for t in range(7)], 1), wanted)


def test_a_frozen_stream_gives_the_same_and_looks_at_the_weights_once():
    model = core(CORES[0])
    u = torch.randn(2, 7, 2, dtype=torch.float64)
    with torch.no_grad():
        wanted = model(u)
        model.stream(2)(u[:, 0])  # what is kept now is older than the weights
        for p in model.parameters():
            p.mul_(1.01)
        changed = model(u)
        stream = model.stream(2, frozen=True)
        found = torch.stack([stream(u[:, t]) for t in range(7)], 1)
    torch.testing.assert_close(found, changed)
    assert not torch.allclose(found, wanted)


def test_clocks_that_do_not_fit():
    timed, model = core(CORES[0], timed=True), core(CORES[0])
    still = compiled("model m { signal(channels=2) gelu }")
    u, dt = torch.zeros(2, 7, 2, dtype=torch.float64), torch.ones(2, 7, dtype=torch.float64)
    for action, told in (
        (lambda: timed(u), r"the model is timed: dt must be reals \(2, 7\), one gap for each sample, this is nothing"),
        (lambda: timed(u, dt[:, :3]), r"the model is timed: dt must be .* this is torch.float64 \(2, 3\)"),
        (lambda: timed(u, 1.0), r"the model is timed: dt must be .* this is a float"),
        (lambda: timed(u, 0 * dt), "every gap in dt must be above 0"),
        (lambda: timed(u, -dt), "every gap in dt must be above 0"),
        (lambda: timed(u, dt * torch.nan), "every gap in dt must be above 0"),
        (lambda: timed(u, dt * torch.inf), "every gap in dt must be above 0 and finite"),
        (lambda: timed(u, dt, rate=2.0), "the model is timed: it takes dt, not rate"),
        (lambda: timed.step(u[:, 0], timed.initial_state(2), dt), r"dt must be reals \(2,\), .* this is torch.float64"),
        (lambda: model(u, dt), "the model takes no dt; declare its input with timed=true, or pass rate"),
        (lambda: model.step(u[:, 0], model.initial_state(2), dt[:, 0]), "the model takes no dt"),
        (lambda: model(u, rate=dt), "the rate must be one number"),
        (lambda: model(u, rate=0), "the rate must be above 0 and finite, this is 0"),
        (lambda: model(u, rate=float("nan")), "the rate must be above 0 and finite, this is nan"),
        (lambda: model(u, rate=torch.tensor(torch.inf)), "the rate must be above 0 and finite, this is inf"),
        (lambda: model(u, rate="fast"), "the rate must be above 0 and finite, this is fast"),
        (lambda: still(u, rate=2.0), "the model has no core that a rate could apply to"),
    ):
        with pytest.raises(InputError, match=told):
            action()


# --- plans


def test_replanning_keeps_the_numbers(exact, x):
    wanted = exact(x)
    plans = set()
    for length, mode in ((1, "infer"), (9, "train"), (1_000_000, "infer"), (32, "decode")):
        plan = exact.replan(length=length, mode=mode, batch=2)
        assert plan is exact.plan
        assert (plan.conditions.length, plan.conditions.mode) == (length, mode)
        assert all(exact.get_submodule(key).strategy == s for key, s in plan.strategies.items())
        plans.add(tuple(plan.strategies.values()))
        torch.testing.assert_close(exact(x), wanted)
        torch.testing.assert_close(exact(x, return_state=True)[0], wanted)


def test_what_the_spec_asks_for_stays():
    model = compiled("model m { signal(channels=2) s4d(state=2) execute ssm as recurrent }")
    for length in (1, 10**6):
        assert model.replan(length=length).strategies == {"s4d": "recurrent"}


@pytest.mark.parametrize(
    "changes",
    [{"length": 0}, {"length": "9"}, {"batch": True}, {"batch": 2**70}, {"mode": "fast"}, {"dtype": "int8"}],
)
def test_plans_for_what_cannot_be(changes, model):
    before = model.plan
    with pytest.raises(smrdsl.SmrError):
        model.replan(**changes)
    assert model.plan is before


# --- the price of a step


def calls(depth: int) -> int:
    """How many functions of the runtime a step calls."""
    text = f"model m {{ signal(channels=2) repeat {depth} {{ s4d(state=2) }} }}"
    model = smrdsl.compile_text(text, mode="decode")
    state, u, count = model.initial_state(1), torch.zeros(1, 2), 0

    def watch(frame, event, argument):
        nonlocal count
        count += event == "call" and frame.f_code.co_filename == runtime.__file__

    sys.setprofile(watch)
    try:
        model.step(u, state)
    finally:
        sys.setprofile(None)
    return count


def test_a_step_costs_no_more_around_a_deep_model():
    assert 0 < calls(2) == calls(12) < 20
