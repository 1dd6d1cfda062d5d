"""One thread, as more would only wait for each other in models so small; and a model that has it all."""

import pytest
import torch

import smrdsl

SPEC = """model all(width = 8) {
  signal(channels=3, length=32)
  first: linear(width)
  repeat 2 { residual { norm(layer)  smr(memory=2)  s4d(state=4)  gelu } }
  residual { s4(state=4) }
  residual { attention(heads=2, window=4) }
  pool(mean)
  linear(5)
}
"""


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def model():
    return smrdsl.compile_text(SPEC, mode="infer")


@pytest.fixture
def u():
    return torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(0))
