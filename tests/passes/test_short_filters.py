"""short-filters: what the pass makes of a graph, that it changes no number, and when it stands back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import smrdsl
from smrdsl.graph.show import show
from smrdsl.runtime.model import CompiledModel
from tests.native.kernels import close, needs_library

NAME = "short-filters"
WIDTH = 8
MAMBA = "conv1d(4) silu smr(memory=3) s6(state=3)"


def compiled(body: str, **options: Any) -> CompiledModel:
    text = f'import "std/mamba.smr"\nmodel m {{ signal(channels={WIDTH}) {body} }}'
    return smrdsl.compile_text(text, **{"mode": "infer", **options})


def executed(body: str, **options: Any) -> list[str]:
    """What is executed, one name for each node."""
    return [
        line.split(" = ")[1].split(" <-")[0] for line in show(compiled(body, **options)._executed).splitlines()[2:-1]
    ]


def signal(length: int = 40) -> Tensor:
    return torch.randn(2, length, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("body", "first"),
    [
        (MAMBA, "short-filters(conv1d, silu, smr)"),
        ("conv1d(4) silu s6(state=3)", "short-filters(conv1d, silu)"),
        ("conv1d(4) smr s6(state=3)", "short-filters(conv1d, smr)"),
        ("smr smr norm", "short-filters(smr, smr_2)"),
        ("smr(mix=pointwise) silu norm", "smr(mix=pointwise)"),
        ("conv1d(4) gelu norm", "conv1d(kernel=4)"),
        ("conv1d(4, causal=false) silu norm", "conv1d(kernel=4, causal=false)"),
        ("x := it |> conv1d(4)  it := (x |> silu) + x  norm", "conv1d(kernel=4)"),
    ],
)
def test_filters_and_what_ends_them_are_one(body: str, first: str) -> None:
    assert executed(body)[0] == first


def test_an_smr_behind_a_gate_keeps_its_activation() -> None:
    assert executed("smr silu norm")[:2] == ["smr()", "silu()"]


@pytest.mark.parametrize("options", [{"dtype": "float64"}, {"disable": [NAME]}])
def test_where_there_is_no_kernel_it_does_not_run(options: dict[str, Any]) -> None:
    assert executed(MAMBA, **options)[0] == "conv1d(kernel=4)"


def pair(body: str) -> tuple[CompiledModel, CompiledModel]:
    """The same model with the pass and without it, with gates that are not the identity."""
    one, apart = compiled(body), compiled(body, disable=[NAME])
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in one.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=g))
    apart.load_state_dict(one.state_dict())
    return one, apart


@needs_library
@pytest.mark.parametrize("body", [MAMBA, "conv1d(4) silu s6(state=3)", "smr conv1d(3, bias=false) linear(4)"])
@pytest.mark.parametrize("length", [0, 1, 5, 40])
def test_values_gradients_and_streaming_are_those_of_the_layers_apart(body: str, length: int) -> None:
    one, apart = pair(body)
    found: list[list[Tensor]] = [[], []]
    for to, model in zip(found, (one, apart), strict=True):
        u = signal(length).requires_grad_()
        y = model(u)
        wanted = [u, *model.parameters()]
        to += [y, *torch.autograd.grad((y * y.detach().cos()).sum(), wanted, allow_unused=True, materialize_grads=True)]
        with torch.no_grad():
            state = model.initial_state(2)
            for chunk in u.split([length // 3, length - length // 3], 1):
                y, state = model(chunk, state=state, return_state=True)
                to += [y, *state.values()]
            to += model.step(torch.ones(2, WIDTH), state)[:1]
    for mine, theirs in zip(*found, strict=True):
        assert mine.shape == theirs.shape
        if theirs.numel():
            close(mine, theirs, 2e-5)


@needs_library
def test_the_block_of_the_library_is_fused() -> None:
    assert any(name.startswith(NAME) for name in executed("mamba(state=4)"))
    one, apart = pair("mamba(state=4)")
    close(one(signal()), apart(signal()))
    one.double(), apart.double()
    close(one(signal().double()), apart(signal().double()))
