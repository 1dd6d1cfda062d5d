"""Lazy streams: functions of them give what they give of tensors, in few passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smrdsl.kernels import native_pointwise
from smrdsl.kernels.lazy import together
from tests.native.kernels import close, needs_library, noted_programs

pytestmark = needs_library
WIDTH = 16
G = torch.Generator().manual_seed(0)
WEIGHT, VECTOR = torch.randn(2 * WIDTH, WIDTH, generator=G), torch.randn(WIDTH, generator=G)
Function = Callable[[Any, Any], Any]


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return noted_programs(monkeypatch)


def streams(*shape: int) -> list[Tensor]:
    g = torch.Generator().manual_seed(1)
    return [torch.randn(*(shape or (2, 7, WIDTH)), generator=g) for _ in range(2)]


def check(function: Function, own: list[Tensor]) -> None:
    """Values and gradients."""
    mine, wide = ([p.detach().to(d).requires_grad_() for p in own] for d in (torch.float32, torch.float64))
    y, wanted = together(function, *mine), function(*wide)
    assert y.dtype == torch.float32
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(2))
    found = torch.autograd.grad((y * dy).sum(), mine, materialize_grads=True, allow_unused=True)
    right = torch.autograd.grad((wanted * dy).sum(), wide, materialize_grads=True, allow_unused=True)
    for a, b in zip((y, *found), (wanted, *right), strict=True):
        close(a, b, 5e-6)


def like(x: Any, p: Tensor) -> Tensor:
    """A parameter in the precision of the stream."""
    return p.to(x.dtype)


ONE_PASS: dict[str, Function] = {
    "silu": lambda x, z: x * F.silu(z),
    "gelu": lambda x, z: F.gelu(x) + F.gelu(z, approximate="tanh"),
    "others": lambda x, z: torch.tanh(x) - F.softplus(z) * torch.sigmoid(x),
    "square": lambda x, z: F.relu(x).square() + torch.add(x, z, alpha=0.3),
    "erf": lambda x, z: 0.5 * (1.0 + torch.erf((x - 0.7) / 0.4)) * z,
    "numbers": lambda x, z: 2.0 - (x / 4 + 1) * -z - 3,
    "vectors": lambda x, z: torch.addcmul(like(x, VECTOR), x, like(x, VECTOR)) - z * like(z, VECTOR),
    "dropout": lambda x, z: F.dropout(x, 0.5, False) * F.dropout(z, 0.0, True),
    "product": lambda x, z: torch.mul(x, z) + x,
}
MORE: dict[str, tuple[int, Function]] = {
    "glu": (2, lambda x, z: _glu(F.linear(F.silu(x), like(x, WEIGHT)).chunk(2, dim=-1)) + z),
    "half": (1, lambda x, z: F.linear(x, like(x, WEIGHT)).chunk(2, dim=-1)[1] * z),
    "mean": (1, lambda x, z: x * 2.0 - z.mean(1, keepdim=True)),
    "time": (1, lambda x, z: (x + z).chunk(7, dim=1)[2]),
    "joined": (1, lambda x, z: torch.cat([x + z, z], dim=-1)),
    "pair": (1, lambda x, z: (x * z)[:, :1] + x),
    "power": (2, lambda x, z: (x + 3.0) ** 2 / (2.0 / (z * z + 1.0)) @ like(x, WEIGHT)[:WIDTH]),
    "from the left": (0, lambda x, z: like(x, VECTOR) - x),
}


def _glu(halves: Any) -> Any:
    a, g = halves
    return a * torch.sigmoid(g)


@pytest.mark.parametrize("name", ONE_PASS)
def test_what_a_program_can_say_is_one_pass(name: str, programs: list[str]) -> None:
    check(ONE_PASS[name], streams())
    assert len(programs) == 1


@pytest.mark.parametrize("name", MORE)
def test_before_anything_else_numbers_are_made(name: str, programs: list[str]) -> None:
    passes, function = MORE[name]
    check(function, streams())
    assert len(programs) == passes


def test_both_halves_are_read_where_they_lie(programs: list[str]) -> None:
    wide = torch.randn(2, 7, 2 * WIDTH, generator=G)
    check(lambda z, x: _glu(z.chunk(2, dim=-1)), [wide, streams()[0]])
    assert programs == ["load 0 0; load 0 1; sigmoid 1; mul 0 2"]


def test_a_value_is_made_once(programs: list[str]) -> None:
    def twice(x: Any, z: Any) -> Any:
        y = x * z + 1.0
        return F.linear(y, like(y, WEIGHT))[..., :WIDTH] * y

    check(twice, streams())
    assert programs == ["load 0 0; load 1 0; mul 0 1; offset 2 1.0", "load 0 0; load 1 0; mul 0 1"]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(picks=st.lists(st.tuples(st.integers(0, 99), st.sampled_from([*ONE_PASS, *MORE])), min_size=1, max_size=5))
def test_any_of_them_inside_each_other(picks: list[tuple[int, str]]) -> None:
    functions = ONE_PASS | {name: function for name, (_, function) in MORE.items() if name not in ("time", "joined")}

    def nested(x: Any, z: Any) -> Any:
        values = [x, z]
        for pick, name in picks:
            if name in functions:
                values.append(torch.tanh(functions[name](values[pick % len(values)], values[-1])))
        return values[-1] * values[-2]

    check(nested, streams())


@pytest.mark.parametrize("right", [True, False])
def test_what_is_too_long_for_one_program_becomes_several(right: bool, programs: list[str]) -> None:
    def added(*all_: Any) -> Any:
        terms = list(all_)
        total = terms.pop()
        while terms:
            total = terms.pop() + total if right else total + terms.pop()
        for i in range(80):
            total = total * 0.9 + float(i)
        return total

    own = [torch.randn(2, 7, WIDTH, generator=G) for _ in range(12)]
    close(together(added, *own), added(*(x.double() for x in own)))
    assert len(programs) > 3
    assert all(program.count("load") <= 8 and program.count(";") < 64 for program in programs)


def test_small_streams_and_other_precisions_are_left_to_torch(
    programs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, z = streams()
    silu = ONE_PASS["silu"]
    assert torch.equal(together(silu, x.double(), z.double()), silu(x.double(), z.double()))
    assert torch.equal(together(silu, x.bfloat16(), z.bfloat16()), silu(x.bfloat16(), z.bfloat16()))
    assert together(silu, x, z.double()).dtype == torch.float64
    assert not programs
    monkeypatch.setattr(native_pointwise, "LEAST", x.numel() + 1)
    assert torch.equal(together(silu, x, z), silu(x, z))
    assert not programs


def test_torch_func_sees_through(programs: list[str]) -> None:
    x, z = streams()
    loss = lambda x: together(ONE_PASS["silu"], x, z).sum()  # noqa: E731
    torch.testing.assert_close(torch.func.grad(loss)(x), F.silu(z))
    torch.testing.assert_close(torch.func.vmap(lambda x, z: together(ONE_PASS["silu"], x, z))(x, z), x * F.silu(z))
    assert not programs
