"""pointwise-chains: what the pass makes of a graph, that it changes no number, and when it stands back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import smrdsl
from smrdsl.compiler import lower_source, plan_lowered
from smrdsl.core.source import Source
from smrdsl.graph.show import show
from smrdsl.kernels import lazy
from smrdsl.lowering.layers import draw_for
from smrdsl.ops.contract import Operator
from smrdsl.ops.registry import operators
from smrdsl.passes.order import executed
from smrdsl.runtime.model import CompiledModel
from tests.native.kernels import close, needs_library, noted_programs

NAME = "pointwise-chains"
WIDTH = 6
GATE = "parallel(merge=mul) { branch { linear(6) } branch { linear(6)  silu } }"
MEGA = "x := it  u := x |> linear(6) |> sigmoid  linear(6)  it := it + (x |> linear(6))  silu  it := x + u * (it - x)"


def text_of(body: str) -> str:
    return f"model m {{ signal(channels={WIDTH}) {body} }}"


def graph(body: str, **options: Any) -> str:
    """The graph that is executed, as text, without the nodes at its ends."""
    g, plan = plan_lowered(lower_source(Source("<text>", text_of(body))), **options)
    return "\n".join(line.strip() for line in show(executed(g, plan)).splitlines()[2:-1])


def pair(body: str, **options: Any) -> tuple[CompiledModel, CompiledModel]:
    """The same model with the pass and without it."""
    one, two = (smrdsl.compile_text(text_of(body), disable=disable, **options) for disable in ((), (NAME,)))
    return one, two


def signal(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(2, 9, WIDTH, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return noted_programs(monkeypatch)


def grads(model: CompiledModel, u: Tensor) -> list[Tensor]:
    """The output, and the gradients of the input and of all that is learned."""
    own = u.detach().requires_grad_()
    y = model(own)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(2)).to(y.dtype)
    return [y, *torch.autograd.grad((y * dy).sum(), [own, *model.parameters()])]


# --- what is made of a graph


def test_a_gate_is_one_with_its_activation() -> None:
    assert graph(GATE) == (
        "branch.0.linear = linear(width=6) <- signal : (B, L, 6)\n"
        "branch.1.linear = linear(width=6) <- signal : (B, L, 6)\n"
        "parallel = pointwise-chains(branch.1.silu, parallel) <- branch.1.linear, branch.0.linear : (B, L, 6)"
    )


def test_a_tree_holds_all_that_only_it_reads() -> None:
    tree = "pointwise-chains(sigmoid, add, silu, sub, mul, add_2)"
    assert graph(MEGA).splitlines()[-1] == f"add_2 = {tree} <- linear, linear_2, linear_3, signal : (B, L, 6)"


def test_what_ends_pointwise_is_a_leaf_and_needs_its_input() -> None:
    assert graph("residual { gelu  glu }") == (
        "gelu = gelu() <- signal : (B, L, 6)\nresidual = pointwise-chains(glu, residual) <- gelu, signal : (B, L, 6)"
    )


@pytest.mark.parametrize("body", ["gelu", "linear(6) silu linear(6)", "residual { linear(6) }", "affine linear(6)"])
def test_a_single_operation_stays_as_it_is(body: str) -> None:
    assert NAME not in graph(body)


@pytest.mark.parametrize("body", ["glu", "relu2", "laplace", "gated(silu) { linear(6) }"])
def test_several_operations_of_one_layer_are_a_tree(body: str) -> None:
    assert NAME in graph(body)


def test_what_others_read_is_made() -> None:
    assert NAME not in graph("x := it |> silu  it := (x |> linear(6)) + x")
    assert "pointwise-chains(tanh, mul)" in graph("x := it |> silu  it := (x |> tanh) * x")


@pytest.mark.parametrize("options", [{"device": "cuda"}, {"dtype": "float64"}, {"disable": [NAME]}])
def test_where_the_kernel_cannot_run_nothing_is_fused(options: dict[str, Any]) -> None:
    assert NAME not in graph(GATE, **options)


# --- that it changes no number

BODIES = [
    GATE,
    MEGA,
    "residual { gelu  glu }",
    "residual(scale=0.5) { linear(6)  gelu(tanh)  affine(scale=2.0, std=0.1) }",
    "parallel(merge=mean) { branch { linear(6) relu2 } branch { tanh } branch { laplace } }",
    "gated(softplus) { linear(6) sigmoid }",
    "x := it |> relu  it := (1 - x) * (it / 4) - -it",
]


@needs_library
@pytest.mark.parametrize("body", BODIES)
def test_numbers_and_gradients_are_the_same(body: str, programs: list[str]) -> None:
    one, two = pair(body)
    for found, wanted in zip(grads(one, signal()), grads(two, signal()), strict=True):
        close(found, wanted, 5e-6)
    assert programs
    for found, wanted in zip(
        grads(one.double(), signal(torch.float64)), grads(two.double(), signal(torch.float64)), strict=True
    ):
        assert torch.equal(found, wanted)


SAYING = [(op, p, i) for op in operators().values() for p, i in op.samples if op.pointwise(p)]


@needs_library
@pytest.mark.parametrize(("op", "p", "inputs"), SAYING, ids=lambda x: getattr(x, "name", ""))
def test_what_an_operator_says_of_itself_is_so(op: Operator, p: Any, inputs: Any, programs: list[str]) -> None:
    """It is one program, whatever stands before it; dropout is none in evaluation."""
    assert op.pointwise(p) in ("one", "some", "end")
    layer = op.load_layer()(p, inputs, op.infer(p, inputs))
    if hasattr(layer, "reset_parameters"):
        layer.reset_parameters(draw_for(0, op.name))
    g = torch.Generator().manual_seed(0)
    streams = [torch.randn(2, 3, i.width, generator=g) for i in inputs]
    close(lazy.together(layer.eval(), *streams), layer(*streams), 5e-6)
    assert len(programs) == (op.name != "dropout")


UNARY = ["gelu", "gelu(tanh)", "silu", "relu", "tanh", "softplus", "affine(std=0.5)", "linear(6)", "laplace"]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.recursive(
        st.sampled_from(UNARY),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(" ".join),
            inner.map("residual {{ {} }}".format),
            inner.map("gated(sigmoid) {{ {} }}".format),
            st.tuples(st.sampled_from(["add", "mul", "mean"]), inner, inner).map(
                lambda t: f"parallel(merge={t[0]}) {{ branch {{ {t[1]} }} branch {{ {t[2]} }} }}"
            ),
        ),
        max_leaves=6,
    )
)
def test_random_trees(body: str) -> None:
    one, two = pair(body)
    wanted = grads(two.double(), signal(torch.float64))
    for found, right in zip(grads(one, signal()), wanted, strict=True):
        close(found, right, 2e-5)


@needs_library
def test_sequence_chunks_and_steps_agree(programs: list[str]) -> None:
    one, _ = pair("residual { s4d(state=2)  silu  affine }  " + MEGA, mode="infer")
    u = signal()
    with torch.no_grad():
        y, state = one(u), one.initial_state(2)
        assert len(programs) == 2
        first, state = one(u[:, :5], state=state, return_state=True)
        assert len(programs) == 4
        rest = []
        for t in range(5, 9):
            y_t, state = one.step(u[:, t], state)
            rest.append(y_t)
    close(torch.cat((first, torch.stack(rest, 1)), 1), y)


# --- when it stands back


@needs_library
def test_a_hook_is_called_with_tensors(programs: list[str]) -> None:
    one, two = pair(GATE)
    seen: list[Tensor] = []
    one.get_submodule("branch.1.silu").register_forward_hook(lambda module, given, y: seen.append(y))
    assert torch.equal(one(signal()), two(signal()))
    assert isinstance(seen[0], Tensor)
    assert not programs


@needs_library
def test_a_layer_that_was_replaced_is_used(programs: list[str]) -> None:
    class Triple(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 3.0 * x

    one, two = pair(GATE)
    for model in (one, two):
        model.get_submodule("branch.1").silu = Triple()  # type: ignore[assignment]
    assert torch.equal(one(signal()), two(signal()))
    assert not programs


@needs_library
def test_dropout_is_nothing_in_evaluation_and_itself_in_training(programs: list[str]) -> None:
    one, two = pair("residual { linear(6)  silu  dropout(0.5)  affine }")
    assert "dropout" in graph("residual { linear(6)  silu  dropout(0.5)  affine }").splitlines()[-1]
    close(one.eval()(signal()), two.eval()(signal()))
    assert len(programs) == 1
    found = []
    for model in (one.train(), two.train()):
        torch.manual_seed(0)
        found.append(model(signal()))
    close(*found)
    assert len(programs) == 3


@needs_library
def test_weights_are_looked_at_in_every_call() -> None:
    one, two = pair("residual { affine  tanh }")
    one(signal())
    with torch.no_grad():
        for model in (one, two):
            model.get_parameter("affine.scale").fill_(3.0)
    close(one(signal()), two(signal()))
