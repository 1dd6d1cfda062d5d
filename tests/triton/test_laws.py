"""The laws of Triton's kernels (`laws_*.py`): in Triton's interpreter, and on a GPU where there is one.

They run in a process of their own: whether Triton interprets is told when it is imported, and torch's compiler, which
other tests run, imports it as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from smrdsl.kernels import triton_calls

HERE = Path(__file__).parent
LAWS = sorted(HERE.glob("laws_*.py"))
pytestmark = pytest.mark.skipif(not triton_calls.THERE, reason="there is no Triton")


def passes(files: list[Path], **environment: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *files]
    given = os.environ | environment
    done = subprocess.run(command, cwd=HERE.parents[1], env=given, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_every_law_holds_in_the_interpreter() -> None:
    passes(LAWS, TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_every_law_holds_on_a_gpu() -> None:
    passes(LAWS, TRITON_INTERPRET="0")


def test_every_kernel_compiles_for_a_card(tmp_path: Path) -> None:
    passes([HERE / "compiling.py"], TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path))
