"""A lone step of a bank by its native kernel: the same numbers as torch's, and only where nothing is recorded."""

from __future__ import annotations

import pytest
import torch

from smrdsl.kernels import core, native_calls, step_bank
from smrdsl.kernels.native_calls import kernel
from tests.native.kernels import at_level, close, needs_library
from tests.native.test_layers import a_layer, signal

pytestmark = needs_library
LAYERS = [
    ("s4d", {"state": 64}),
    ("s4d", {"state": 34, "skip": False}),
    ("s4", {"state": 16}),
    ("s4", {"state": 32, "rank": 2}),
    ("ema", {"state": 17}),
    ("ema", {"state": 9, "complex": True}),
    ("dss", {"state": 20}),
]


@pytest.mark.parametrize("level", ["generic", "avx2", "avx512"])
@pytest.mark.parametrize(("name", "given"), LAYERS)
@pytest.mark.parametrize(("batch", "width"), [(1, 1), (3, 19)])
@torch.no_grad()
def test_a_step_is_that_of_torch(
    level: str, name: str, given: dict[str, object], batch: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_bank, "STEP", kernel("bank_step", 5, 10, at_level(level, monkeypatch)))
    layer, u = a_layer(name, given, width), signal(batch, width)
    numbers = {"ema": 2 if given.get("complex") else 1, "dss": 2}.get(name, 1) * int(str(given["state"]))
    x, calls = signal(batch, width, numbers, seed=1), []
    run = step_bank.step
    monkeypatch.setattr(step_bank, "step", lambda *given: calls.append(given) or run(*given))
    for rate in (None, 2.0):
        told = {} if rate is None or name == "ema" else {"rate": rate}
        found = layer.step(u, x, **told)  # type: ignore[operator]
        with monkeypatch.context() as without:
            without.setattr(native_calls, "THERE", False)
            wanted = layer.step(u, x, **told)  # type: ignore[operator]
        for a, b in zip(found, wanted, strict=True):
            close(a, b)
    assert len(calls) == 2


def test_gradients_and_other_precisions_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_bank, "step", None)
    layer, u, x = a_layer("s4d", {"state": 16}), signal(2, 19), signal(2, 19, 16)
    y, _ = layer.step(u, x)  # type: ignore[operator]
    y.sum().backward()
    with torch.no_grad():
        layer.step(u, x.double())  # type: ignore[operator]
        compiled = torch.compile(lambda u, x: core.step(layer.bank(), u, x, None, None), backend="eager")  # type: ignore[operator]
        close(compiled(u, x)[0], y)


@torch.no_grad()
def test_many_sequences_by_threads() -> None:
    layer, u, x = a_layer("s4d", {"state": 64}, 64), signal(140, 64), signal(140, 64, 64, seed=1)
    before = torch.get_num_threads()
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(layer.step(u, x))  # type: ignore[operator]
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
