"""smr-into-host: what the pass makes of a graph, that it changes no number, and when it stands back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import smrdsl
from smrdsl.compiler import lower_source, plan_lowered
from smrdsl.core.source import Source
from smrdsl.graph.show import show
from smrdsl.kernels import native_calls, native_gated_bank
from smrdsl.passes.order import executed
from smrdsl.runtime.model import CompiledModel
from tests.native.kernels import close, needs_library

NAME = "smr-into-host"
HOSTS = ("s4d(state=4)", "s4(state=4)", "ema(state=2)", "ema(state=2, complex=true)", "dss(state=2, form=exp)")
WIDTH = 6


def text_of(body: str) -> str:
    return f"model m {{ signal(channels={WIDTH}) {body} }}"


def graph(body: str, **options: Any) -> str:
    """The graph that is executed, as text, without the nodes at its ends."""
    lowered = lower_source(Source("<text>", text_of(body)))
    g, plan = plan_lowered(lowered, **{"mode": "infer", **options})
    return "\n".join(line.strip() for line in show(executed(g, plan)).splitlines()[2:-1])


def pair(body: str, **options: Any) -> tuple[CompiledModel, CompiledModel]:
    """The same model with the pass and without it, with gates that are not the identity."""
    models = [smrdsl.compile_text(text_of(body), mode="infer", disable=disable, **options) for disable in ((), (NAME,))]
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, p in models[0].named_parameters():
            if "smr" in name:
                p.add_(torch.randn(p.shape, generator=g))
    models[1].load_state_dict(models[0].state_dict())
    return models[0], models[1]


def signal(batch: int, length: int, seed: int = 0) -> Tensor:
    return torch.randn(batch, length, WIDTH, generator=torch.Generator().manual_seed(seed))


class Counted:
    """How often the fused kernel ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs, inner = 0, native_gated_bank.gated

        def counting(*arguments: Any) -> Any:
            self.runs += 1
            return inner(*arguments)

        monkeypatch.setattr(native_gated_bank, "gated", counting)


# --- what is made of a graph


def test_a_gate_and_its_core_are_one() -> None:
    assert graph("residual { norm(layer)  smr(memory=4)  s4d(state=4)  linear(6) } execute ssm as recurrent") == (
        "norm = norm() <- signal : (B, L, 6)\n"
        "s4d = smr-into-host(smr, s4d) <- norm as recurrent : (B, L, 6)\n"
        "linear = linear(width=6) <- s4d : (B, L, 6)\n"
        "residual = residual() <- signal, linear : (B, L, 6)"
    )


@pytest.mark.parametrize("host", HOSTS)
def test_every_steady_core_is_a_host_of_it_and_of_its_control(host: str) -> None:
    assert NAME in graph(f"smr {host} execute ssm as recurrent")
    assert NAME in graph(f"conv1d(4) {host} execute ssm as recurrent")


@pytest.mark.parametrize(
    "body",
    [
        "smr s4d(state=4) execute ssm as conv",
        "smr s4d(state=4, bidirectional=true) execute ssm as recurrent",
        "smr(mix=pointwise) s4d(state=4) execute ssm as recurrent",
        "smr norm s4d(state=4) execute ssm as recurrent",
        "smr s5(state=4) execute ssm as recurrent",
        "x := it |> smr  it := (x |> s4d(state=4)) + x execute ssm as recurrent",
        "conv1d(4, causal=false) s4d(state=4) execute ssm as recurrent",
    ],
)
def test_what_is_something_else_stays_apart(body: str) -> None:
    assert NAME not in graph(body)


@pytest.mark.parametrize("options", [{"dtype": "float64"}, {"device": "cuda"}, {"disable": [NAME]}])
def test_where_there_is_no_kernel_it_does_not_run(options: dict[str, Any]) -> None:
    assert NAME not in graph("smr s4d(state=4) execute ssm as recurrent", **options)


def test_a_timed_model_is_left_alone() -> None:
    text = "model m { signal(channels=6, timed=true) smr s4d(state=4) execute ssm as recurrent }"
    g, plan = plan_lowered(lower_source(Source("<text>", text)), mode="infer")
    assert NAME not in show(executed(g, plan))


# --- that no number changes


@needs_library
@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    host=st.sampled_from(HOSTS),
    memory=st.integers(1, 6),
    kernel=st.integers(1, 3),
    gate=st.sampled_from(["", "sigmoid2", "tanh1", "silu", "identity", "tanh", "sigmoid"]),
    bias=st.booleans(),
    shape=st.tuples(st.integers(1, 3), st.integers(2, 90)),
    cuts=st.lists(st.integers(0, 90), max_size=4),
)
def test_values_gradients_and_streaming_are_those_of_the_layers_apart(
    host: str, memory: int, kernel: int, gate: str, bias: bool, shape: tuple[int, int], cuts: list[int]
) -> None:
    smr = f"smr(memory={memory}, kernel={kernel}, gate={gate}, bias={str(bias).lower()})"
    front = smr if gate else f"conv1d({memory}, bias={str(bias).lower()})"
    one, apart = pair(f"{front} {host} execute ssm as recurrent")
    assert NAME in show(one._executed)
    u = signal(*shape).requires_grad_()
    found, wanted = [], []
    for model, to in ((one, found), (apart, wanted)):
        y = model(u)
        to += [y, *torch.autograd.grad((y * y.detach().cos()).sum(), [u, *model.parameters()])]
        with torch.no_grad():
            to.append(model(u))
            to += streamed(model, u, sorted(min(c, shape[1]) for c in cuts))
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.shape == theirs.shape
        if theirs.numel():
            close(mine, theirs)


def streamed(model: CompiledModel, u: Tensor, cuts: list[int]) -> list[Tensor]:
    """Outputs and last state of a stream in chunks, the last sample by a step."""
    state, outputs, edges = model.initial_state(u.shape[0]), [], [0, *cuts, u.shape[1] - 1]
    for first, last in pairwise(edges):
        y, state = model(u[:, first : max(first, last)], state=state, return_state=True)
        outputs.append(y)
    y, state = model.step(u[:, -1], state)
    return [torch.cat([*outputs, y[:, None]], 1), *state.values()]


@needs_library
def test_a_rate_means_the_same() -> None:
    one, apart = pair("smr s4d(state=4) execute ssm as recurrent")
    for rate in (0.5, torch.tensor(2.0)):
        close(one(signal(2, 40), rate=rate), apart(signal(2, 40), rate=rate))


# --- when it stands back


@needs_library
def test_it_runs_where_it_can_and_else_the_layers_do(monkeypatch: pytest.MonkeyPatch) -> None:
    one, apart = pair("smr s4d(state=4) execute ssm as recurrent")
    u, seen = signal(2, 40), Counted(monkeypatch)
    close(one(u), apart(u))
    assert seen.runs == 1
    one.smr.register_forward_hook(lambda *_: None)  # type: ignore[union-attr]
    close(one(u), apart(u))
    one.smr._forward_hooks.clear()  # type: ignore[union-attr]
    for short in (u[:0], u[:, :0], u[:, :1]):
        assert torch.equal(one(short), apart(short))
    close(one(u.expand(2, 40, WIDTH)), apart(u))
    assert seen.runs == 2
    one.double(), apart.double()
    close(one(u.double()), apart(u.double()))
    torch.func.grad(lambda v: one(v).sum())(u.double())
    one.float(), apart.float()
    monkeypatch.setattr(native_calls, "THERE", False)
    close(one(u), apart(u))
    one.s4d.strategy = "scan"  # type: ignore[union-attr]
    close(one(u), apart(u))
    assert seen.runs == 2


@needs_library
def test_under_autocast_it_is_the_layers() -> None:
    one, apart = pair("smr s4d(state=4) execute ssm as recurrent")
    with torch.autocast("cpu", torch.bfloat16):
        for u in (signal(2, 40), signal(2, 40).bfloat16()):
            assert one(u).dtype is apart(u).dtype
            close(one(u), apart(u))
            one(u).float().sum().backward()
