"""Triton where it is not wanted: never imported by us on a CPU, never run where it is not installed or turned off."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from smrdsl import native
from smrdsl.cli.main import run
from smrdsl.kernels import native_calls, triton_calls

ALL = """
import pkgutil, sys
import smrdsl, smrdsl.kernels, smrdsl.runtime.model, smrdsl.ops.s6.layer
for module in pkgutil.iter_modules(smrdsl.kernels.__path__):
    if module.name == "triton_calls" or not module.name.startswith("triton_"):
        __import__(f"smrdsl.kernels.{module.name}")
from smrdsl.kernels.native_taps import convolve
import torch
convolve(torch.ones(1, 4, 2), None, torch.ones(2, 3), None, "silu")
print("triton" in sys.modules)
"""


def test_on_a_cpu_it_is_never_imported() -> None:
    done = subprocess.run([sys.executable, "-c", ALL], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("device", "dtype", "there", "runs"),
    [
        ("cuda", torch.float32, True, True),
        ("cuda", torch.bfloat16, True, True),
        ("cuda", torch.float64, True, False),
        ("cuda", torch.float32, False, False),
        ("meta", torch.float32, True, False),
    ],
)
def test_where_it_runs(
    device: str, dtype: torch.dtype, there: bool, runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton_calls, "THERE", there)
    monkeypatch.setattr(triton_calls, "new_enough", lambda device: True)
    u: Any = SimpleNamespace(shape=(2, 5, 3), dtype=dtype, device=torch.device(device))
    assert native_calls.fits(u, gpu=True) == runs
    assert not native_calls.fits(u)


@pytest.mark.parametrize(("major", "enough"), [(7, False), (8, True), (9, True)])
def test_a_card_must_be_new_enough(major: int, enough: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(major=major))
    monkeypatch.setattr(torch.version, "hip", None)
    assert triton_calls.new_enough(torch.device("cuda")) == enough


def test_the_version_says_whether_it_is_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(native.VARIABLE, raising=False)
    monkeypatch.setattr(native, "version", lambda name: "9.8.7")
    assert run(["--version", "-v"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "GPU kernels: Triton 9.8.7"

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(native, "version", missing)
    assert "pip install 'smrdsl[gpu]'" in native.describe_gpu()
    monkeypatch.setenv(native.VARIABLE, "off")
    assert native.describe_gpu() == f"GPU kernels: none, {native.VARIABLE}=off"
