"""A compiled model is a module like any other, and tells mistakes at run time with the line of the spec."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

import smrdsl
from smrdsl.ops import registry
from smrdsl.runtime.errors import InputError, StepError
from smrdsl.runtime.model import CompiledModel
from smrdsl.spec.reserved import MODEL_ATTRIBUTES

TIED = """model lm(depth = 2) {
  tokens(vocab=11, length=8)
  tok: embed(4)
  repeat depth { mix: residual { s4d(state=2) } }
  linear(11, tie=tok, bias=false)
}
"""


@pytest.fixture
def lm():
    return smrdsl.compile_text(TIED, mode="infer")


# --- a module


def test_names_are_the_paths_of_the_spec_and_a_tied_weight_is_there_once(lm):
    core = ["log_dt", "log_A_real", "A_imag", "B", "C", "D"]
    wanted = ["tok.weight", *(f"layers.{i}.mix.s4d.{name}" for i in range(2) for name in core)]
    assert list(lm.state_dict()) == wanted
    assert [name for name, _ in lm.named_parameters()] == wanted
    before = lm(torch.tensor([[1, 2]]))
    with torch.no_grad():
        lm.tok.weight.mul_(2)
    assert not torch.equal(lm(torch.tensor([[1, 2]])), before)


def test_what_it_holds(model):
    assert model.fx.graph is not model.fx_step.graph
    assert isinstance(model.graph, smrdsl.Graph)
    assert model.plan.conditions.length == 32
    assert model.text.startswith("model all(width = 8)")
    assert "class All(nn.Module):" in model.source
    with pytest.raises(AttributeError):
        model.plan = None


def test_its_attributes_are_no_labels():
    """Otherwise a step could not be reached under its path."""
    own = {name for name in dir(CompiledModel) if not name.startswith("_")} - set(dir(nn.Module))
    assert own | {"load"} == MODEL_ATTRIBUTES
    for name in sorted(MODEL_ATTRIBUTES - {"graph"}):
        (told,) = smrdsl.check_text(f"model m {{ signal(channels=1) {name}: gelu }}")
        assert "is an attribute of every compiled model" in told.message
    for label, who in (("_modules", "torch module"), ("_forms", "compiled model")):
        with pytest.raises(smrdsl.SmrError, match=f"every {who} has an attribute `{label}`"):
            smrdsl.compile_text(f"model m {{ signal(channels=1) {label}: linear(1) }}")


@pytest.mark.parametrize("label", "self u state rate lengths dt fold clock getitem step_1 layers getattr __x".split())
def test_labels_that_are_names_in_the_generated_code(label):
    text = f"model m {{ signal(channels=2) {label}: linear(2)  s4d(state=2)  s4d_x: linear(2) }}"
    model = smrdsl.compile_text(text, mode="infer")
    u = torch.randn(2, 3, 2)
    y, _ = model.step(u[:, 0], model.initial_state(2))
    torch.testing.assert_close(y, model(u)[:, 0])
    scope = {"__file__": "model.py"}
    exec(compile(model.source, "model.py", "exec"), scope)
    own = scope["M"]()
    own.load_state_dict(model.state_dict())
    assert torch.equal(own(u), model(u))
    y_own, after = own.step(u[:, 0], model.initial_state(2))
    assert torch.equal(y_own, y)
    assert after.keys() == model.initial_state(2).keys()


def test_double_and_back(model, u):
    y = model(u)
    torch.testing.assert_close(model.double()(u.double()).float(), y)
    assert {t.dtype for t in model.initial_state(2).values() if t.is_floating_point()} == {torch.float64}
    assert torch.equal(model.to(torch.float32)(u), y)


def test_copies_share_nothing(model, u):
    y, y_0 = model(u), model.step(u[:, 0], model.initial_state(2))[0]
    other = copy.deepcopy(model)
    assert torch.equal(other(u), y)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    for result in (other(u), other(u, return_state=True)[0], other.step(u[:, 0], other.initial_state(2))[0]):
        assert not result.any()
    assert torch.equal(model(u), y)
    assert torch.equal(model.step(u[:, 0], model.initial_state(2))[0], y_0)
    assert other.replan(length=9).conditions.length == 9
    assert model.plan.conditions.length == 32


def test_a_layer_that_is_replaced_is_replaced_in_every_form(model, u):
    class Zero(nn.Module):
        def forward(self, x):
            return x.new_zeros(*x.shape[:-1], 8)

    for name in ("first", "layers.0.gelu"):
        model.set_submodule(name, Zero())
    other = copy.deepcopy(model)
    for m in (model, other):
        y = m(u)
        assert torch.equal(y[0], y[1])
        torch.testing.assert_close(m(u, return_state=True)[0], y)
        stream = m.stream(2)
        torch.testing.assert_close([stream(u[:, t]) for t in range(9)][-1], y)


def test_functional_calls_and_their_derivatives(model, u):
    own = dict(model.named_parameters())
    zeros = {name: torch.zeros_like(t) for name, t in own.items()}
    assert not functional_call(model, zeros, (u,)).any()
    assert not functional_call(model, zeros, (u,), {"return_state": True})[0].any()
    found = grad(lambda weights: functional_call(model, weights, (u,)).sum())(own)
    wanted = torch.autograd.grad(model(u).sum(), list(own.values()))
    for name, value in zip(own, wanted, strict=True):
        torch.testing.assert_close(found[name], value)


def test_tools_of_torch_that_change_a_module(model, u):
    y = model(u)
    parametrizations.weight_norm(model.first)
    torch.testing.assert_close(model(u), y)
    with torch.no_grad():
        model.first.parametrizations.weight.original0.zero_()
    assert not torch.allclose(model(u), y)
    averaged = torch.optim.swa_utils.AveragedModel(model)
    averaged.update_parameters(model)
    torch.testing.assert_close(averaged(u), model(u))


def test_checkpointing_gives_the_same_gradients(model, u):
    u.requires_grad_()
    (wanted,) = torch.autograd.grad(model(u).sum(), u)
    (found,) = torch.autograd.grad(checkpoint(model, u, use_reentrant=False).sum(), u)
    assert torch.equal(found, wanted)


def test_hooks_of_layers_run(model, u):
    seen = []
    model.layers[1].s4d.register_forward_hook(lambda layer, inputs, y: seen.append(y.shape))
    model(u)
    assert seen == [(2, 9, 8)]


def test_autocast(model, u):
    y = model(u)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for result in (model(u), model(u, return_state=True)[0]):
            torch.testing.assert_close(result.float(), y, atol=0.05, rtol=0.05)
        assert model.step(u[:, 0], model.initial_state(2))[0].dtype == torch.bfloat16


def test_modes_and_seeds():
    make = lambda **options: smrdsl.compile_text(TIED, **options)  # noqa: E731
    before = torch.get_rng_state()
    model = make()
    assert torch.equal(torch.get_rng_state(), before), "initial values are drawn from generators of their own"
    assert model.training
    assert not make(mode="infer").training
    assert not make(mode="decode").training
    same, other, double = (
        make(seed=0).state_dict(),
        make(seed=1).state_dict(),
        make(dtype=torch.float64).state_dict(),
    )
    for name, value in model.state_dict().items():
        assert torch.equal(value, same[name])
        assert torch.equal(value.double(), double[name])
    drawn = [name for name in same if name.rpartition(".")[2] in ("weight", "log_dt", "C")]
    assert drawn
    assert not any(torch.equal(same[name], other[name]) for name in drawn)


def test_the_defaults_of_the_program_do_not_matter(lm):
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        other = smrdsl.compile_text(TIED)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    for name, value in lm.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value)
        assert other.state_dict()[name].device.type == "cpu"


def test_parameter_groups(model):
    groups = model.parameter_groups(lr=1e-2, weight_decay=0.1)
    torch.optim.AdamW(groups)
    names = {id(p): name for name, p in model.named_parameters()}
    sorted_ = {names[id(p)]: group for group in groups for p in group["params"]}
    assert len(sorted_) == sum(len(group["params"]) for group in groups) == len(names)
    decayed = {name for name, group in sorted_.items() if group["weight_decay"]}
    slow = {name for name, group in sorted_.items() if group["lr"] == 1e-3}
    assert {group["lr"] for group in groups} == {1e-2, 1e-3}
    assert {"first.weight", "linear.weight", "layers.0.s4d.C"} <= decayed
    for name in names.values():
        last = name.rpartition(".")[2]
        if "norm" in name or "bias" in last or last in ("log_dt", "log_A_real", "A_imag", "B"):
            assert name not in decayed
        assert (name in slow) == (last in ("log_dt", "log_A_real", "A_imag", "B", "P")), name


def test_parameter_groups_hold_what_a_user_put_in(model):
    model.first.extra = nn.Parameter(torch.zeros(3))
    model.first.lora = nn.Parameter(torch.zeros(3, 3))
    by_decay = {group["weight_decay"]: group["params"] for group in model.parameter_groups(1e-3, 0.1)}
    assert any(p is model.first.lora for p in by_decay[0.1])
    assert not any(p is model.first.extra for p in by_decay[0.1])


# --- mistakes at run time


def error(action) -> str:
    with pytest.raises(InputError) as caught:
        action()
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, smrdsl.SmrError)
    return str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (torch.zeros(2, 9, 4), "torch.float32 (2, 9, 4)"),
        (torch.zeros(9, 3), "torch.float32 (9, 3)"),
        (torch.zeros(2, 2, 9, 3), "torch.float32 (2, 2, 9, 3)"),
        (torch.zeros(()), "torch.float32 ()"),
        (torch.zeros(2, 9, 3, dtype=torch.int64), "torch.int64 (2, 9, 3)"),
        (torch.zeros(2, 9, 3, dtype=torch.complex64), "torch.complex64 (2, 9, 3)"),
        ([[1.0]], "a list"),
        (None, "nothing"),
    ],
)
def test_inputs_of_another_shape_or_kind(wrong, found, model):
    where = "<text>:2:3: signal(channels=3, length=32): the input must be reals "
    assert error(lambda: model(wrong)) == f"{where}(batch, length, 3), this is {found}"


def test_samples_of_another_shape(model, u):
    where = "<text>:2:3: signal(channels=3, length=32): the input must be reals (batch, 3), this is "
    for wrong, found in (
        (u, "torch.float32 (2, 9, 3)"),
        (u[:, 0, :2], "torch.float32 (2, 2)"),
        (1.0, "a float"),
    ):
        assert error(lambda wrong=wrong: model.step(wrong, model.initial_state(2))) == where + found


def test_tokens_are_whole_and_below_the_vocabulary(lm):
    where = "<text>:2:3: tokens(vocab=11, length=8): the input must be whole numbers, int64 or int32, "
    assert error(lambda: lm(torch.zeros(2, 3))) == f"{where}(batch, length), this is torch.float32 (2, 3)"
    assert error(lambda: lm(torch.zeros(2, 3, dtype=torch.uint8))).startswith(where)
    assert error(lambda: lm.step(torch.zeros(2, 3, dtype=torch.int64), lm.initial_state(2))) == (
        f"{where}(batch), this is torch.int64 (2, 3)"
    )
    assert torch.equal(lm(torch.ones(1, 2, dtype=torch.int32)), lm(torch.ones(1, 2, dtype=torch.int64)))
    told = "<text>:3:3: tok: embed(4) (tok): embed: a token is not in 0..10 (vocab=11)"
    for wrong in (11, -1):
        tokens = torch.full((1, 2), wrong)
        assert error(lambda tokens=tokens: lm(tokens)) == told
        assert error(lambda tokens=tokens: lm.step(tokens[:, 0], lm.initial_state(1))) == told


def test_the_precision_of_the_input(model, u):
    told = error(lambda: model(u.double()))
    assert told.startswith("<text>:3:")
    assert told.endswith("the input is torch.float64, the weights are torch.float32")


def test_states_of_something_else(model, lm, u):
    state = model.initial_state(2)
    assert "the state lacks attention.keys: it belongs to another model" in error(lambda: model(u, state={}))
    assert "belongs to another model" in error(lambda: model.step(u[:, 0], lm.initial_state(2)))
    assert "the state holds odd" in error(lambda: model.step(u[:, 0], {**state, "odd": torch.zeros(2)}))
    for wrong in (model.initial_state(3), model.initial_state(1)):
        batch = len(wrong["pool.count"])
        told = f"the state is for {batch} sequences, the input has 2"
        assert error(lambda wrong=wrong: model.step(u[:, 0], wrong)) == told
        assert error(lambda wrong=wrong: model(u, state=wrong)) == told
    for wrong in (torch.tensor(1.0), 1.0):
        told = "the state s4.x is no tensor with a batch axis"
        assert error(lambda wrong=wrong: model.step(u[:, 0], {**state, "s4.x": wrong})) == told
    other = {**state, "s4.x": torch.zeros(2, 8, 6)}
    assert error(lambda: model.step(u[:, 0], other)).startswith("<text>:5:14: s4(state=4) (s4): ")
    assert "the state is a NoneType" in error(lambda: model.step(u[:, 0], None))
    assert "batch size must be at least 0" in error(lambda: model.initial_state(-1))


@pytest.mark.parametrize(
    "failure", [ValueError("odd"), ZeroDivisionError("odd"), RuntimeError("odd\nmore"), KeyError("odd")]
)
def test_an_operator_of_the_user_that_fails_names_its_line(failure, monkeypatch, capsys):
    monkeypatch.setattr(registry, "_registered", {})

    @smrdsl.operator(name="fragile", pointwise=True)
    class Fragile(nn.Module):
        def forward(self, x):
            if x.device.type != "meta":
                raise failure
            return x

    text = "model m {\n  signal(channels=2)\n  residual {\n    gelu  fragile\n  }\n}"
    model = smrdsl.compile_text(text, mode="infer")
    for run in (
        lambda: model(torch.zeros(1, 2, 2)),
        lambda: model(torch.zeros(1, 2, 2), return_state=True),
        lambda: model.step(torch.zeros(1, 2), {}),
    ):
        with pytest.raises(InputError, match=r"^<text>:4:11: fragile \(fragile\): .*odd") as caught:
            run()
        assert caught.value.__cause__ is failure
        assert "\n" not in str(caught.value)
    assert capsys.readouterr() == ("", ""), "fx writes to standard error on its own where it may"


def test_errors_of_torch_itself_pass(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})

    @smrdsl.operator(name="greedy", pointwise=True)
    class Greedy(nn.Module):
        def forward(self, x):
            if x.device.type != "meta":
                raise torch.OutOfMemoryError("no memory")
            return x

    model = smrdsl.compile_text("model m { signal(channels=2) greedy }")
    with pytest.raises(torch.OutOfMemoryError):
        model(torch.zeros(1, 2, 2))


def test_what_looks_ahead_cannot_be_stepped(u):
    text = "model m {\n  signal(channels=3)\n  bidirectional { gelu }\n  attention(heads=2, causal=false)\n}"
    model = smrdsl.compile_text(text, mode="infer")
    assert model(u).shape == (2, 9, 6)
    for run in (
        lambda: model.step(u[:, 0], {}),
        lambda: model.initial_state(2),
        lambda: model.stream(2),
        lambda: model.fx_step,
        lambda: model(u, return_state=True),
        lambda: model(u, state={}),
    ):
        with pytest.raises(StepError) as caught:
            run()
        told = str(caught.value)
        assert "`bidirectional` at <text>:3:3" in told
        assert "`attention` at <text>:4:3" in told
        assert "flip" not in told


def test_batch_norm_is_not_stepped_in_training():
    model = smrdsl.compile_text("model m {\n  signal(channels=2)\n  norm(batch)\n}")
    u = torch.randn(4, 2)
    told = error(lambda: model.step(u, {}))
    assert told.startswith("<text>:3:3: norm(batch) (norm): norm(batch) cannot be stepped in training mode")
    y, state = model.eval().step(u, {})
    assert (y.shape, state) == ((4, 2), {})


def test_empty_sequences_and_batches(model, lm):
    assert model(torch.zeros(0, 9, 3)).shape == (0, 5)
    assert model.step(torch.zeros(0, 3), model.initial_state(0))[0].shape == (0, 5)
    assert lm(torch.zeros(2, 0, dtype=torch.int64)).shape == (2, 0, 11)
    y, _ = lm(torch.zeros(2, 0, dtype=torch.int64), return_state=True)
    assert y.shape == (2, 0, 11)
