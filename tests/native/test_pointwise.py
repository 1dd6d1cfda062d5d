"""The native kernel of pointwise operations, against the same operations of torch in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from smrdsl.kernels import native_pointwise
from smrdsl.kernels.native_pointwise import FUNCTIONS, JOIN, WITH_NUMBER, composed, kernels, parse, run
from tests.native.kernels import at_level, close, needs_library

pytestmark = needs_library
GATE = "load 0; load 1; sigmoid 1; mul 1 2; mul 0 3"
HALVES = "load 0; load 0 1; sigmoid 1; mul 0 2"
ALL = (
    "load 0; load 1; load 2; mul 0 2; add 3 1; tanh 4; softplus 5; sub 6 1; scale 7 0.3; offset 8 1.5; relu 9; "
    "normal 10; mul 11 11; sigmoid 12"
)
NAMES = sorted(FUNCTIONS)


def streams(*shapes: Sequence[int], seed: int = 0) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=g) for shape in shapes]


def results(own: Sequence[Tensor], program: str, native: bool) -> list[Tensor]:
    """What comes out, and the gradients of all streams."""
    mine = [x.detach().requires_grad_() for x in own]
    y = run(mine, program) if native else composed(*mine, program=program)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(7)).to(y.dtype)
    return [y, *torch.autograd.grad((y * dy).sum(), mine)]


def check(own: Sequence[Tensor], program: str, tolerance: float = 2e-6) -> None:
    wanted = results([x.double() for x in own], program, False)
    for found, right in zip(results(own, program, True), wanted, strict=True):
        assert found.dtype == torch.float32
        assert found.shape == right.shape
        if right.numel():
            close(found, right, tolerance)


@st.composite
def programs(draw: st.DrawFn) -> tuple[str, list[tuple[int, ...]]]:
    """A tree of operations, and the shapes of its streams: some of them vectors, some with two parts."""
    width, leading = draw(st.integers(1, 40)), (draw(st.integers(1, 3)), draw(st.integers(1, 30)))
    lines: list[str] = []
    shapes: list[tuple[int, ...]] = []
    values: list[int] = []  # not yet read
    for k in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["stream", "parts", "vector"])) if k else "stream"
        for part in range(1 + (kind == "parts")):
            values.append(len(lines))
            lines.append(f"load {k} {part}")
        shapes.append((width,) if kind == "vector" else (*leading, width * (1 + (kind == "parts"))))
    for _ in range(draw(st.integers(1, 8))):
        name = draw(st.sampled_from(NAMES))
        first = values.pop(draw(st.integers(0, len(values) - 1)))
        second = draw(st.integers(0, len(lines) - 1))
        lines.append(_line(name, first, second, draw))
        values = [v for v in values if v != second or name not in JOIN] + [len(lines) - 1]
    while len(values) > 1:
        lines.append(f"add {values.pop(0)} {values.pop(0)}")
        values.append(len(lines) - 1)
    return "; ".join(lines), shapes


def _line(name: str, first: int, second: int, draw: st.DrawFn) -> str:
    if name in JOIN:
        return f"{name} {first} {second}"
    return f"{name} {first} {draw(st.integers(-8, 8)) / 4}" if name in WITH_NUMBER else f"{name} {first}"


@settings(max_examples=150, deadline=None, derandomize=True)
@given(made=programs(), seed=st.integers(0, 99))
def test_any_tree_is_what_torch_makes_of_it(made: tuple[str, list[tuple[int, ...]]], seed: int) -> None:
    program, shapes = made
    check(streams(*shapes, seed=seed), program, 2e-5)


@pytest.mark.parametrize(
    "shape", [(2, 5, 256), (1, 1, 1), (3, 300), (2, 3, 5000), (2, 40, 19), (70, 16), (1, 513, 130)]
)
def test_shapes_about_tiles(shape: tuple[int, ...]) -> None:
    x, z, vector = streams(shape, shape, shape[-1:])
    check([x, z], GATE)
    check([torch.cat((x, z), -1)], HALVES)
    check([x, z, vector], ALL, 1e-5)


@pytest.mark.parametrize("level", ["generic", "avx2", "avx512"])
def test_every_level_is_the_same(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_pointwise, "KERNELS", kernels(at_level(level, monkeypatch)))
    check(streams((2, 40, 37), (2, 40, 37), (37,)), ALL, 1e-5)
    check(streams((2, 40, 64)), HALVES)


@pytest.mark.parametrize("level", ["generic", "avx2", "avx512"])
def test_the_normal_is_right_to_its_tail(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative to each number: torch's own gelu in float32 has lost all digits at -6."""
    monkeypatch.setattr(native_pointwise, "KERNELS", kernels(at_level(level, monkeypatch)))
    own = torch.linspace(-12, 12, 20001)[None]
    (found, slope), (wanted, right) = (
        results([x], "load 0; normal 0", n) for x, n in ((own, True), (own.double(), False))
    )
    torch.testing.assert_close(found.double(), wanted, rtol=1e-6, atol=0)
    torch.testing.assert_close(slope.double(), right, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh", "softplus", "silu", "relu2"])
def test_what_is_not_finite_is_as_torch_has_it(name: str) -> None:
    inside = {"silu": "sigmoid 0; mul 0 1", "relu2": "relu 0; mul 1 1"}.get(name, f"{name} 0")
    right = {"silu": F.silu, "relu2": lambda x: F.relu(x).square(), "softplus": F.softplus}.get(
        name, getattr(torch, name, None)
    )
    assert right is not None
    x = torch.tensor([[math.nan, math.inf, -math.inf, 1e30, -1e30, 0.0, -0.0, 3.0]]).requires_grad_()
    own, wanted = run([x], f"load 0; {inside}"), right(x)
    torch.testing.assert_close(own, wanted, equal_nan=True)
    grads = [torch.autograd.grad(y.sum(), x)[0] for y in (own, wanted)]
    torch.testing.assert_close(*grads, equal_nan=True)


def test_a_gelu_is_finite_where_its_input_is() -> None:
    x = torch.tensor([[1e30, -1e30, 20.0, -20.0, math.nan]]).requires_grad_()
    y = run([x], "load 0; normal 0; mul 0 1")
    slope = torch.autograd.grad(y.sum(), x)[0]
    torch.testing.assert_close(y[0, :4], torch.tensor([1e30, 0.0, 20.0, 0.0]), rtol=1e-6, atol=1e-30)
    torch.testing.assert_close(slope[0, :4], torch.tensor([1.0, 0.0, 1.0, 0.0]), rtol=1e-6, atol=1e-30)
    assert y[0, 4].isnan()
    assert slope[0, 4].isnan()


def test_streams_may_lie_anyhow() -> None:
    x, wide, turned = streams((2, 30, 16), (2, 30, 48), (2, 16, 30))
    check([x.flip(1), wide[..., 16:32]], GATE)
    check([wide[:, ::2, :16], x[:, :15]], GATE)
    check([turned.mT, x], GATE)
    check([x[:1].expand(2, 30, 16), x], GATE)


@pytest.mark.parametrize("shape", [(0, 5, 7), (2, 0, 7)])
def test_nothing_gives_nothing(shape: tuple[int, ...]) -> None:
    y, *grads = results(streams(shape, shape, (7,)), ALL, True)
    assert y.shape == shape
    assert not any(g.any() for g in grads)


def test_only_what_needs_a_gradient_has_one() -> None:
    x, z, vector = streams((2, 30, 16), (2, 30, 16), (16,))
    wanted = results([p.double() for p in (x, z, vector)], ALL, False)
    dy = torch.randn(x.shape, generator=torch.Generator().manual_seed(7))
    for k, own in enumerate((x, z, vector)):
        mine = [p.detach().requires_grad_(p is own) for p in (x, z, vector)]
        close(torch.autograd.grad((run(mine, ALL) * dy).sum(), mine[k])[0], wanted[k + 1])
    assert not run([x, z, vector], ALL).requires_grad


def test_sums_do_not_depend_on_threads() -> None:
    own, before = streams((3, 500, 40), (3, 500, 40), (40,)), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(results(own, ALL, True))
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], others, strict=True))


def test_gradients_can_be_derived_again() -> None:
    def second(native: bool) -> Tensor:
        x, z = (p.requires_grad_() for p in streams((2, 3, 5), (2, 3, 5)))
        y = run([x, z], GATE) if native else composed(x, z, program=GATE)
        (dz,) = torch.autograd.grad(y.sum(), [z], create_graph=True)
        return torch.autograd.grad(dz.square().sum(), [z])[0]

    close(second(True), second(False))


def test_torch_knows_the_operator() -> None:
    own = [x.requires_grad_() for x in streams((2, 3, 5), (2, 3, 5))]
    padded = (*own, *[None] * (native_pointwise.MOST_STREAMS - 2), GATE)
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")  # tracing takes ten seconds
    torch.library.opcheck(torch.ops.smrdsl.pointwise.default, padded, test_utils=tests)


@pytest.mark.parametrize(
    "program",
    [
        "load 0",
        "load 0; relu 1",
        "load 0; load 1; relu 0",
        "load 0 1; relu 0",
        "load 1; relu 0",
        "load 0; load 0; add 0 1",
    ],
)
def test_a_program_that_makes_no_sense_is_refused(program: str) -> None:
    with pytest.raises(ValueError, match="the program"):
        parse(program)


def test_streams_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="stands where"):
        run(streams((2, 3, 5), (2, 3, 4)), GATE)
    with pytest.raises(ValueError, match="stands where"):
        run(streams((2, 3, 5)), HALVES)
