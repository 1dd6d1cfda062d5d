"""Operators of installed packages, through the entry point group `smrdsl.operators`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PACKAGE = """
import torch
import smrdsl


@smrdsl.operator(name="halve", pointwise=True)
class Halve(torch.nn.Module):
    def __init__(self, by: float = 2.0):
        super().__init__()
        self.by = by

    def forward(self, x):
        return x / self.by
"""
USE = """
import torch, smrdsl
model = smrdsl.compile_text("model m { signal(channels=2)  halve(by=4.0) }")
assert torch.equal(model(torch.ones(1, 3, 2)), torch.full((1, 3, 2), 0.25))
assert "did you mean `halve`" in smrdsl.check_text("model m { signal(channels=2)  halv }")[0].message
"""


def install(site: Path, target: str) -> None:
    """What pip would leave behind: a module and the metadata of its distribution."""
    (site / "halving.py").write_text(PACKAGE, encoding="utf-8")
    info = site / "halving-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: halving\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[smrdsl.operators]\nhalve = {target}\n", encoding="utf-8")


def run(site: Path, code: str) -> subprocess.CompletedProcess[str]:
    path = f"import sys; sys.path.insert(0, {str(site)!r})\n"
    return subprocess.run([sys.executable, "-c", path + code], capture_output=True, text=True, check=False)


def test_an_installed_operator_is_part_of_the_language(tmp_path: Path) -> None:
    install(tmp_path, "halving:Halve")
    done = run(tmp_path, USE)
    assert done.returncode == 0, done.stderr


def test_an_entry_point_that_is_no_operator_is_named(tmp_path: Path) -> None:
    install(tmp_path, "halving:torch")
    done = run(tmp_path, "from smrdsl.cli.main import run; raise SystemExit(run(['ops']))")
    assert done.returncode == 1
    assert "halve = halving:torch is not an operator" in done.stderr
    assert "Traceback" not in done.stderr
