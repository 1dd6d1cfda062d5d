"""Every kernel of Triton is compiled as for a card, on a machine without one: to PTX, the last step but the assembler.

Not in the interpreter, and in a process of its own: Triton is told of a card that is not there, and launches nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import CUDABackend
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction

from smrdsl.kernels import native_bank, native_modes, native_selective, native_taps, triton_calls
from smrdsl.kernels.native_bank import NativeBank

BATCH, LENGTH, WIDTH, STATES = 2, 130, 40, 16


class Card:
    """What Triton asks of a driver before it compiles."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 80, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int | None = None) -> int:
        return 0


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """The kernels by module, as far as they were compiled instead of launched."""
    found: dict[str, set[str]] = {}

    def launch(self: JITFunction, grid: Any) -> Callable[..., None]:
        def compile_it(*arguments: Any, **options: Any) -> None:
            code = self.warmup(*arguments, grid=grid, **options)
            assert ".entry" in code.asm["ptx"]
            found.setdefault(self.fn.__module__.rpartition(".")[2], set()).add(self.fn.__name__)

        return compile_it

    stages = CUDABackend.add_stages

    def without_last(self: CUDABackend, into: dict[str, Any], *arguments: Any) -> None:
        stages(self, into, *arguments)
        into["cubin"] = lambda code, metadata: b""

    monkeypatch.setattr(CUDABackend, "add_stages", without_last)
    monkeypatch.setattr(JITFunction, "__getitem__", launch)
    monkeypatch.setattr(triton_calls, "DEVICES", {"cpu"})
    driver.set_active(Card())  # type: ignore[arg-type]
    return found


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(*shape, dtype=dtype, requires_grad=True)


def test_banks(compiled: dict[str, set[str]]) -> None:
    stream, matrix = (BATCH, LENGTH, WIDTH), partial(zeros, WIDTH, STATES)
    bank = NativeBank(matrix(), matrix(), matrix(), zeros(WIDTH), None, None, 1)
    y, after = bank.run(zeros(*stream), zeros(BATCH, WIDTH, STATES))
    (y.sum() + after.sum()).backward()
    assert compiled == {"triton_bank": {"leave", "carry", "read"}, "triton_bank_back": {"gradients"}}


def test_modes(compiled: dict[str, set[str]]) -> None:
    rates = (BATCH, LENGTH, STATES)
    v = zeros(BATCH, LENGTH, 2 * STATES)
    native_modes.modes_forward(v, zeros(BATCH, 2 * STATES), zeros(*rates), zeros(*rates)).sum().backward()
    assert compiled == {"triton_modes": {"leave", "carry", "run"}}


def test_selective_scans(compiled: dict[str, set[str]]) -> None:
    stream, rows = (BATCH, LENGTH, WIDTH), (BATCH, LENGTH, STATES)
    steps = zeros(*stream), zeros(*stream), zeros(WIDTH), torch.ones(BATCH, LENGTH)
    own = zeros(WIDTH, STATES), zeros(*rows), zeros(*rows), zeros(WIDTH), zeros(BATCH, WIDTH, STATES)
    y, after = native_selective.run((*steps, *own), False)
    (y.sum() + after.sum()).backward()
    assert compiled == {"triton_selective": {"leave", "carry", "read"}, "triton_selective_back": {"gradients"}}


def test_taps_in_half_precision(compiled: dict[str, set[str]]) -> None:
    new = partial(zeros, dtype=torch.bfloat16)
    y = native_taps.convolve(new(BATCH, LENGTH, WIDTH), new(BATCH, 3, WIDTH), new(WIDTH, 4), new(WIDTH), "tanh")
    y.sum().backward()
    assert compiled == {"triton_taps": {"answer", "slope", "turn"}}


def test_tiles_have_a_size_that_triton_knows() -> None:
    assert native_bank.TILE == triton.next_power_of_2(native_bank.TILE)
