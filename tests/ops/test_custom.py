"""`@operator`: any torch.nn.Module as an operator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn

from smrdsl.core.errors import SmrError
from smrdsl.core.types import StreamType
from smrdsl.ops import registry
from smrdsl.ops.contract import Misfit, Operator, State
from smrdsl.ops.custom import operator

REAL = (StreamType.real(6),)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    known = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(known)


def leaky(**options: Any) -> Operator:
    @operator(name="leaky", **options)
    class Leaky(nn.Module):
        """Leaky average of each channel, mixed.

        More about it.
        """

        def __init__(self, width: int, keep: Annotated[float, Field(gt=0, lt=1)] = 0.9, mix: bool = True) -> None:
            super().__init__()
            self.keep = keep
            self.mix = nn.Linear(width, 2 * width) if mix else nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            state, outputs = self.initial_state(x.shape[0]).to(x), []
            for t in range(x.shape[1]):
                y, state = self.step(x[:, t], state)
                outputs.append(y)
            return torch.stack(outputs, dim=1)

        def initial_state(self, batch: int) -> Tensor:
            return torch.zeros(batch, 6)

        def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            state = self.keep * state + (1 - self.keep) * x
            return self.mix(state), state

    return Leaky.OPERATOR


def make(op: Operator, p: Any, inputs: tuple[StreamType, ...] = REAL, seed: int = 0) -> Any:
    layer = op.load_layer()(p, inputs, op.infer(p, inputs))
    layer.reset_parameters(lambda name: torch.Generator().manual_seed(seed))
    return layer


def test_arguments_shape_parameters_and_state_are_found() -> None:
    op = leaky(families=("mixer",))
    assert registry.operators()["leaky"] is op
    assert op.summary == "Leaky average of each channel, mixed."
    assert list(op.params.model_fields) == ["keep", "mix", "width"]
    assert all(f.description for f in op.params.model_fields.values())
    p = op.params(keep=0.5)
    output = op.infer(p, REAL)
    assert output == StreamType.real(12)
    shapes = {name: v.shape for name, v in op.parameters(p, REAL, output).items()}
    assert shapes == {"inner.mix.weight": (12, 6), "inner.mix.bias": (12,)}
    assert shapes == {name: tuple(v.shape) for name, v in make(op, p).named_parameters()}
    assert not op.parameters(p, REAL, output)["inner.mix.bias"].decay
    assert op.state(p, REAL, output) == {"state": State((6,))}
    assert not op.looks_ahead(p)
    assert op.cost(p, REAL, output, 10, "").flops > 0


def test_limits_of_an_annotation_hold() -> None:
    op = leaky()
    with pytest.raises(ValidationError, match="less than 1"):
        op.params(keep=1.5)
    with pytest.raises(ValidationError, match="bool"):
        op.params(mix=1)


def test_chunks_and_steps_are_the_whole() -> None:
    op = leaky()
    layer, x = make(op, op.params()), torch.randn(2, 9, 6)
    whole = layer(x)
    (state,) = layer.initial_state(2, torch.device("cpu"), torch.float32)
    parts = []
    for part in x.split((4, 0, 5), dim=1):
        y, state = layer.extend(part, state)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    y, _ = layer.step(x[:, 0], torch.zeros(2, 6))
    torch.testing.assert_close(y, whole[:, 0])


def test_initial_values_follow_the_seed_alone() -> None:
    op = leaky()
    p = op.params()
    before = torch.get_rng_state()
    first, again, other = make(op, p), make(op, p), make(op, p, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.inner.mix.weight, again.inner.mix.weight)
    assert not torch.equal(first.inner.mix.weight, other.inner.mix.weight)


def test_states_may_be_tuples_and_dicts() -> None:
    class Counting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.cumsum(1) + torch.arange(x.shape[1])[:, None]

        def initial_state(self, batch: int) -> Any:
            return {"sum": torch.zeros(batch, 6), "seen": torch.zeros(batch, dtype=torch.int64)}

        def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
            total = state["sum"] + x
            return total + state["seen"][:, None], {"seen": state["seen"] + 1, "sum": total}

    class Paired(Counting):
        def initial_state(self, batch: int) -> Any:
            return tuple(super().initial_state(batch).values())

        def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
            y, after = super().step(x, {"sum": state[0], "seen": state[1]})
            return y, (after["sum"], after["seen"])

    for cls, names in ((Counting, ["sum", "seen"]), (Paired, ["state_0", "state_1"])):
        op = operator(name="counting")(cls).OPERATOR
        p = op.params()
        assert op.state(p, REAL, REAL[0]) == dict(zip(names, (State((6,)), State((), index=True)), strict=True))
        layer, x = make(op, p), torch.randn(3, 5, 6)
        y, *state = layer.extend(x[:, :2], *layer.initial_state(3, torch.device("cpu"), torch.float32))
        rest, *_ = layer.extend(x[:, 2:], *state)
        torch.testing.assert_close(torch.cat((y, rest), 1), layer(x))


def test_without_a_step_it_cannot_be_streamed() -> None:
    @operator(name="backwards")
    class Backwards(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flip(1)

    op = Backwards.OPERATOR
    assert op.looks_ahead(op.params())
    assert op.infer(op.params(), REAL) == REAL[0]
    assert op.state(op.params(), REAL, REAL[0]) == {}


def test_several_streams_and_pooling() -> None:
    @operator(name="score")
    class Score(nn.Module):
        def forward(self, query: Tensor, key: Tensor, scale: float = 1.0) -> Tensor:
            return scale * (query * key).mean(1)

    op = Score.OPERATOR
    assert op.streams == ("query", "key")
    assert op.infer(op.params(), REAL * 2) == StreamType.pooled(6)


def test_an_own_activation_works_inside_others() -> None:
    @operator(name="prelu", families=("act",))
    class Prelu(nn.Module):
        def __init__(self, slope: float = 0.25) -> None:
            super().__init__()
            self.slope = nn.Parameter(torch.tensor([slope]))

        def forward(self, x: Tensor) -> Tensor:
            return torch.where(x > 0, x, self.slope * x)

    assert not Prelu.OPERATOR.looks_ahead(Prelu.OPERATOR.params())
    mlp = registry.operators()["mlp"]
    p = mlp.params(hidden=3, act="prelu", bias=False)
    layer = make(mlp, p)
    declared = {name: v.shape for name, v in mlp.parameters(p, REAL, REAL[0]).items()}
    assert declared == {name: tuple(v.shape) for name, v in layer.named_parameters()}
    assert "act.inner.slope" in declared
    x = torch.randn(2, 4, 6)
    h = x @ layer.W1.t()
    torch.testing.assert_close(layer(x), torch.where(h > 0, h, 0.25 * h) @ layer.W2.t())


def test_what_the_module_refuses_is_told() -> None:
    class Halves(nn.Module):
        def __init__(self, width: int, kind: Literal["a", "b"] = "a") -> None:
            super().__init__()
            if width % 2:
                raise ValueError(f"{width} channels cannot be halved")

        def forward(self, x: Tensor) -> Tensor:
            return x.chunk(2, dim=-1)[0]

    op = operator(name="halves")(Halves).OPERATOR
    assert op.infer(op.params(kind="b"), REAL) == StreamType.real(3)
    with pytest.raises(Misfit, match=r"halves: Halves does not take \(B, L, 5\): ValueError: 5 channels cannot"):
        op.infer(op.params(), (StreamType.real(5),))
    with pytest.raises(Misfit, match="forward must leave one tensor of reals"):
        op.infer(op.params(width=4), (StreamType.index(9),))


@pytest.mark.parametrize("result", [lambda x: x.mean(2), lambda x: x[:, 1:], lambda x: (x, x), lambda x: x.sum()])
def test_what_is_no_stream_is_refused(result: Any) -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return result(x)

    op = operator(name="odd")(Odd).OPERATOR
    with pytest.raises(Misfit, match="forward must leave one tensor of reals"):
        op.infer(op.params(), REAL)


def test_pointwise_must_be() -> None:
    class Shift(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.roll(1, dims=1)[:, :, :5] if x.dim() == 3 else x

    op = operator(name="shift_one", pointwise=True)(Shift).OPERATOR
    with pytest.raises(Misfit, match="it is pointwise"):
        op.infer(op.params(), REAL)


def test_what_cannot_be_an_operator_is_refused() -> None:
    class Bare(nn.Module):
        def __init__(self, size) -> None:  # on purpose without
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            return x

    class Deaf(nn.Module):
        def forward(self) -> Tensor:
            return torch.zeros(1)

    class Strange(nn.Module):
        def __init__(self, size: object = None) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            return x

    Strange.__init__.__annotations__["size"] = "Unknown"
    for cls, why in (
        (Bare, "`size` of Bare has no annotation"),
        (Deaf, "takes no stream"),
        (Strange, "cannot be read"),
    ):
        with pytest.raises(SmrError, match=why):
            operator(name="bad")(cls)
    with pytest.raises(SmrError, match="letters, digits"):
        operator(name="not a name")


def test_an_empty_chunk_of_a_pooling_module_is_an_error() -> None:
    @operator(name="total")
    class Total(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum(1)

        def initial_state(self, batch: int) -> Tensor:
            return torch.zeros(batch, 6)

        def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            return state + x, state + x

    layer, x = make(Total.OPERATOR, Total.OPERATOR.params()), torch.randn(2, 3, 6)
    y, state = layer.extend(x, torch.zeros(2, 6))
    torch.testing.assert_close(y, layer(x))
    with pytest.raises(SmrError, match="give Total a method extend"):
        layer.extend(x[:, :0], state)
