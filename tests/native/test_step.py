"""The instructions of a native step, at every level: each is what torch makes of the same numbers."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels import step_program
from smrdsl.kernels.step_program import FUNCTIONS, Buffer, Refused, Slot, StepProgram, Stream
from tests.native.kernels import at_level, close, needs_library

pytestmark = needs_library
WANTED = {
    "identity": lambda x: x,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "relu2": lambda x: F.relu(x).square(),
    "softplus": F.softplus,
    "laplace": lambda x: 0.5 * (1 + torch.erf((x - 0.707107) / (0.282095 * math.sqrt(2)))),
    "sigmoid2": lambda x: 2 * torch.sigmoid(x),
    "tanh1": lambda x: 1 + torch.tanh(x),
}


@pytest.fixture(params=["generic", "avx2", "avx512"], autouse=True)
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test at every level."""
    library = at_level(request.param, monkeypatch)
    monkeypatch.setattr(step_program, "RUN", library.kernel("step_run", [step_program.c_int64] * 4))
    return request.param


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def given(x: Tensor) -> Stream:
    """A stream that holds x (B, width)."""
    return Stream(Buffer.of(x.clone()), 0, x.shape[1])


def result(program: StepProgram, y: Stream, threads: int = 1) -> Tensor:
    y.buffer.stays = True
    program.finish()
    program.run(0, len(program.instructions), threads)
    return y.view().clone()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    x = torch.cat([torch.linspace(-30, 30, 301), torch.tensor([0.0, -0.0, 1e-30, 100, -100, math.nan, math.inf])])[None]
    program = StepProgram(1)
    found, wanted = result(program, program.map(given(x), name)), WANTED[name](x)
    if name == "gelu":  # of which torch's own, with vectors, is not a number at infinity
        assert found[0, -1] == math.inf
        found, wanted = found[:, :-1], wanted[:, :-1]
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 12, 13, 26])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 33), (17, 31), (64, 70), (5, 128)])
def test_products(batch: int, inputs: int, outputs: int) -> None:
    x, weight, bias, onto = normal(batch, inputs), normal(outputs, inputs), normal(outputs), normal(batch, outputs)
    program = StepProgram(batch)
    close(result(program, program.linear(given(x), weight)), x @ weight.t())
    program = StepProgram(batch)
    close(result(program, program.linear(given(x), weight, bias, given(onto))), x @ weight.t() + bias + onto)


def test_two_threads_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_program, "WORTH_A_THREAD", 1)
    x, weight = normal(7, 40), normal(50, 40)
    one, two = StepProgram(7), StepProgram(7)
    wanted = result(one, one.map(one.linear(given(x), weight), "silu"))
    close(result(two, two.map(two.linear(given(x), weight), "silu"), threads=2), wanted)


@pytest.mark.parametrize("width", [1, 4, 15, 16, 33])
def test_streams_by_number(width: int) -> None:
    x, z, w = normal(3, width), normal(3, width, seed=1), normal(width, seed=2)
    for write, wanted in (
        (lambda p: p.gate(given(x), given(z), "tanh"), x * z.tanh()),
        (lambda p: p.add(given(x), given(z), -0.5), x - 0.5 * z),
        (lambda p: p.affine(given(x), w, 2.0), x * w + 2),
        (lambda p: p.affine(given(x), None, w), x + w),
        (lambda p: p.affine(given(x), 3.0), 3 * x),
        (lambda p: p.join([given(x), given(z)]), torch.cat([x, z], 1)),
    ):
        program = StepProgram(3)
        close(result(program, write(program)), wanted)


@pytest.mark.parametrize(("width", "groups"), [(1, 1), (7, 1), (16, 2), (40, 5), (50, 1)])
def test_norms(width: int, groups: int) -> None:
    x, w, b = 3 + normal(4, width), normal(width, seed=1), normal(width, seed=2)
    program = StepProgram(4)
    found = result(program, program.norm(given(x), w, b, 1e-5, centred=True, groups=groups))
    rows = F.layer_norm(x.view(4, groups, -1), (width // groups,), eps=1e-5).flatten(1)
    close(found, rows * w + b)
    program = StepProgram(4)
    found = result(program, program.norm(given(x), w, None, 1e-5, centred=False, groups=groups))
    close(found, F.rms_norm(x.view(4, groups, -1), (width // groups,), eps=1e-5).flatten(1) * w)


@pytest.mark.parametrize("largest", [True, False])
def test_pools(largest: bool) -> None:
    program, seen, x = StepProgram(2), [], given(torch.zeros(2, 5))
    value, count = Slot(2, (5,)), Slot(2, (), index=True)
    y = program.pool(x, value.rows(), count.plain(), largest=largest)
    program.finish()
    for seed in range(3):
        seen.append(normal(2, 5, seed=seed) - 9)
        x.view().copy_(seen[-1])
        program.run(0, 1)
        whole = torch.stack(seen)
        close(y.view(), whole.amax(0) if largest else whole.mean(0))
    assert count.get().tolist() == [3, 3]


def test_a_row_of_a_table_and_one_that_there_is_not() -> None:
    table, index = normal(5, 3), torch.tensor([[4], [0]])
    program, position = StepProgram(2), Slot(2, (), index=True)
    row = position.rows()
    program.write("count", row)
    tokens = Stream(Buffer.of(index), 0, 1)
    close(result(program, program.gather(tokens, table, "no such word")), table[index[:, 0]])
    assert position.get().tolist() == [1, 1]
    for bad in (5, -1):
        index[1] = bad
        with pytest.raises(Refused, match="no such word") as caught:
            program.run(0, 2)
        assert caught.value.instruction == 1
        assert position.get().tolist() == [1, 1]  # nothing was done


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_in_its_sequence(value: float) -> None:
    x, weight = normal(5, 20), normal(70, 20)
    program = StepProgram(5)
    stream, slot = given(x), Slot(5, (3, 20))
    p = program.linear(program.norm(program.map(stream, "gelu"), None, None, 1e-5, centred=True), weight)
    kept, inputs = program.keep(normal(4, 20)), slot.plain()
    program.write("taps", program.stream(20), stream, kept, None, inputs, 20, 4, 0, 0)
    wanted = result(program, p)
    state = slot.get()
    slot.put(torch.zeros(5, 3, 20))
    stream.view()[2, 7] = value
    program.run(0, len(program.instructions))
    others = [0, 1, 3, 4]
    assert torch.equal(p.view()[others], wanted[others])
    assert torch.equal(slot.get()[others], state[others])
    assert not p.view()[2].isfinite().any()


def test_a_buffer_is_used_again_only_when_nobody_reads_it() -> None:
    x = normal(2, 24)
    program = StepProgram(2)
    a = program.map(given(x), "tanh")
    b = program.map(a, "sigmoid")
    c = program.add(b, a)
    d = program.map(program.map(c, "silu"), "gelu")
    close(result(program, d), F.gelu(F.silu(x.tanh().sigmoid() + x.tanh())))
    tensors = {i[1].buffer.tensor.data_ptr() for i in program.instructions}
    assert 2 < len(tensors) < len(program.instructions)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (16, 4), (2, 21, 3)])
def test_a_state_comes_out_as_it_went_in(shape: tuple[int, ...]) -> None:
    slot, value = Slot(3, shape), normal(3, *shape)
    slot.blocks()
    slot.put(value)
    assert torch.equal(slot.get(), value)
    assert slot.get().is_contiguous()
