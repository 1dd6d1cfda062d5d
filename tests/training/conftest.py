"""A tiny model and little data, so that a training takes a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smrdsl.training.run import Trained
from smrdsl.training.train import train

SPEC = """model tiny(width = 6) {
  signal(channels=1)
  linear(width)
  residual { norm(layer)  s4d(state=4)  gelu  dropout(0.2) }
  pool(mean)
  linear(3)
}
"""


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """120 waves of 3 heights in noise."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    t = np.arange(16)
    u = y[:, None] - 1 + np.sin(t + rng.uniform(0, 6, (120, 1))) + 0.1 * rng.normal(size=(120, 16))
    np.savez(tmp_path / "waves.npz", u=u[..., None], y=y)
    return tmp_path / "waves.npz"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "tiny.smr").write_text(SPEC, encoding="utf-8")
    return tmp_path / "tiny.smr"


@pytest.fixture
def fit(spec: Path, classes: Path, tmp_path: Path) -> Callable[..., Trained]:
    """Train the tiny model in a folder below tmp_path."""

    def run(out: str, **given: Any) -> Trained:
        defaults = {"max_steps": 12, "batch": 8, "device": "cpu", "evaluate_every": 5, "log": "none", "lr": 1e-2}
        return train(given.pop("spec", spec), given.pop("data", str(classes)), out=tmp_path / out, **defaults | given)

    return run
