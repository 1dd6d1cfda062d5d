"""ema against numbers from the official implementation of Mega, and Megalodon's against its formula.

Golden arrays (facebookresearch/mega, commit aeaa4b4, in float64): x and y are (batch, L, D), y after its SiLU; delta,
alpha, beta, gamma (D or 2 D, N), omega (D). Those with a truncated kernel are left out: ours is never truncated.
"""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, export

import smrdsl
from smrdsl.core.types import StreamType
from smrdsl.ops.ema import OPERATOR, EmaParams
from smrdsl.ops.ema.layer import Ema

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("mega_ema_uni", "mega_ema_bidir")
STRATEGIES = OPERATOR.strategies


def read(name: str) -> dict[str, Any]:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    config = json.loads(str(arrays.pop("config")))
    return {key: torch.tensor(a) for key, a in arrays.items() if a.dtype.kind in "fi"} | {"config": config}


def draw(name: str) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def make(width: int, dtype: torch.dtype = torch.float64, **arguments: Any) -> Ema:
    p, inputs = EmaParams(**arguments), (StreamType.real(width),)
    layer = Ema(p, inputs, inputs[0])
    layer.reset_parameters(draw)
    return layer.to(dtype)


def published(g: dict[str, Any], dtype: torch.dtype = torch.float64) -> Ema:
    layer = make(g["config"]["D"], state=g["config"]["N"], bidirectional=g["config"]["bidir"])
    layer.load_state_dict({name: g[name] for name in ("delta", "alpha", "beta", "gamma", "omega")})
    return layer.to(dtype)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    assert found.shape == wanted.shape
    found, wanted = found.detach().double(), wanted.detach()
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1.0))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", NAMES)
def test_the_output_is_the_published_one(name: str, strategy: str) -> None:
    g = read(name)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        layer = published(g, dtype)
        layer.strategy = strategy
        assert apart(F.silu(layer(g["x"].to(dtype))), g["y"]) < tolerance, dtype


def test_the_kernels_are_the_published_ones() -> None:
    """Backwards too: both directions meet the present sample, with the first entry of each kernel."""
    g = read("mega_ema_bidir")
    width, length = g["config"]["D"], g["config"]["L"]
    impulse = torch.zeros(1, 2 * length - 1, width, dtype=torch.float64)
    impulse[0, length - 1] = 1
    y = (published(g)(impulse) - g["omega"] * impulse)[0].T
    ahead, later = g["kernel"].split(width)
    wanted = F.pad(ahead, (length - 1, 0)) + F.pad(later.flip(1), (0, length - 1))
    assert apart(y, wanted) < 1e-9


def test_stepping_and_chunks_give_the_published_outputs_and_states() -> None:
    g = read("mega_ema_uni")
    layer, x = published(g), g["x"]
    h, outputs = torch.zeros_like(g["final_state"]), []
    for t in range(x.shape[1]):
        y, h = layer.step(x[:, t], h)
        outputs.append(y)
    assert apart(F.silu(torch.stack(outputs, 1)), g["step_y"]) < 1e-9
    assert apart(h, g["final_state"]) < 1e-9
    split = int(g["chunk_split"])
    for strategy in STRATEGIES:
        layer.strategy = strategy
        _, h = layer.extend(x[:, :split], torch.zeros_like(h))
        assert apart(h, g["state_at_split"]) < 1e-9
        assert apart(layer.extend(x[:, split:], h)[1], g["final_state"]) < 1e-9


def test_written_in_the_language() -> None:
    g = read("mega_ema_uni")
    text = "model m { signal(channels=6)  memory: ema(state=4)  silu }"
    model = smrdsl.compile_text(text, mode="infer", dtype="float64")
    model.load_state_dict({f"memory.{k}": v for k, v in published(g).state_dict().items()})
    with torch.no_grad():
        assert apart(model(g["x"]), g["y"]) < 1e-9


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_complex_average_is_megalodons_formula(strategy: str) -> None:
    """k_l = Re sum_n gamma_n / sqrt(N) p_n q_n^l, in numpy."""
    layer, length = make(3, state=4, complex=True), 40
    layer.strategy = strategy
    v = {name: q.detach().numpy() for name, q in layer.named_parameters()}
    p = 1 / (1 + np.exp(-v["delta"]))
    size = 1 - p / (1 + np.exp(-v["alpha"]))
    phi = 2 * np.pi / 4 / (1 + np.exp(-v["theta"]))
    q = size * np.exp(1j * np.arange(1, 5) * phi[:, None])
    gamma = v["gamma"][..., 0] + 1j * v["gamma"][..., 1]
    k = ((gamma * p / 2)[..., None] * q[..., None] ** np.arange(length)).sum(1).real
    k[:, 0] += v["omega"]
    impulse = torch.zeros(1, length, 3, dtype=torch.float64)
    impulse[0, 0] = 1
    assert apart(layer(impulse)[0].T, torch.from_numpy(k)) < 1e-12


def test_a_complex_average_that_does_not_turn_is_a_real_one() -> None:
    real, turning = (make(3, state=4, complex=flag, bidirectional=True) for flag in (False, True))
    shared = {name: q for name, q in real.state_dict().items() if name in ("delta", "alpha", "omega")}
    merged = torch.stack([real.gamma * real.beta, torch.ones_like(real.gamma)], -1).detach()
    turning.load_state_dict({**shared, "theta": torch.full((6,), -800.0).double(), "gamma": merged})
    x = numbers(2, 30, 3)
    assert apart(turning(x), real(x)) < 1e-12


@pytest.mark.parametrize("complex", [False, True])
def test_it_starts_as_published(complex: bool) -> None:
    layer = make(64, state=16, complex=complex)
    q = 1 - torch.sigmoid(layer.delta) * torch.sigmoid(layer.alpha)
    assert 0 < q.min() < q.max() < 1
    assert abs(q.mean() - 0.75) < 0.01
    assert abs(q.std() - 0.035) < 0.005
    assert layer.omega is not None
    if not complex:
        assert layer.beta is not None
        signs = torch.tensor([1.0, -1.0] * 8)
        assert (layer.beta - signs).abs().max() < 0.1
        assert abs((layer.beta - signs).std() - 0.02) < 0.002
        assert abs(layer.gamma.std() - 1) < 0.1
        return
    assert layer.theta is not None
    falling = 64.0 ** (-torch.arange(1, 65) / 64)
    assert apart(torch.sigmoid(layer.theta).sort(descending=True).values, falling.double()) < 1e-6
    assert not torch.equal(layer.theta, layer.theta.sort(descending=True).values)
    assert not layer.gamma[..., 1].any()
    assert layer.omega.abs().max() <= 1
    assert abs(layer.omega.std() - 0.25) < 0.05


@pytest.mark.parametrize("complex", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_float32_holds_at_length_16384(bidirectional: bool, complex: bool) -> None:
    """Finite and right, in value and gradient, for averages that fade at once and that hardly fade."""
    layer = make(2, state=3, complex=complex, bidirectional=bidirectional)
    with torch.no_grad():
        layer.delta[:, 0], layer.delta[:, 1] = 8.0, -4.0
        layer.alpha[:, 0], layer.alpha[:, 1] = 8.0, -8.0
    x = numbers(1, 16384, 2)
    results = {}
    for dtype, strategy in ((torch.float64, "scan"), (torch.float32, "conv"), (torch.float32, "scan")):
        layer.strategy = strategy
        u = x.to(dtype).requires_grad_()
        y = layer.to(dtype)(u)
        results[dtype, strategy] = [y, *torch.autograd.grad(y.square().mean(), [u, *layer.parameters()])]
    for strategy in ("conv", "scan"):
        for found, wanted in zip(results[torch.float32, strategy], results[torch.float64, "scan"], strict=True):
            assert torch.isfinite(found).all()
            assert (found.double() - wanted).abs().max() < 1e-4 * wanted.abs().max()


def test_autocast_leaves_the_average_in_float32() -> None:
    layer = make(4, torch.float32, state=4, complex=True)
    x = numbers(2, 50, 4).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, layer(x.float()).bfloat16())


class Padded(nn.Module):
    """A layer that is told lengths."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        return self.layer(x, lengths=lengths)


def test_exported_for_any_length() -> None:
    module = Padded(make(3, torch.float32, state=2, bidirectional=True))
    example, lengths = torch.randn(2, 9, 3), torch.tensor([9, 4])
    shapes = {"x": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}, "lengths": {0: Dim.DYNAMIC}}
    program = export(module, (example, lengths), dynamic_shapes=shapes).module()
    for length in (2, 70):
        x, lengths = torch.randn(3, length, 3), torch.tensor([length, 0, 1])
        assert apart(program(x, lengths), module(x, lengths)) < 1e-5


def test_what_decays_while_training() -> None:
    """The published optimiser decays all; what says how long the average remembers is left out here."""
    for p in (EmaParams(), EmaParams(complex=True, bidirectional=True)):
        stream = StreamType.real(8)
        declared = OPERATOR.parameters(p, (stream,), stream)
        still = {name for name, q in declared.items() if not q.decay}
        assert still == {"delta", "alpha", "theta", "omega"} & set(declared)
        assert {q.group for q in declared.values()} == {"regular"}


def test_an_average_has_no_step_to_scale() -> None:
    model = smrdsl.compile_text("model m { signal(channels=3)  ema }")
    with pytest.raises(smrdsl.SmrError, match="ema"):
        model(torch.zeros(1, 4, 3), rate=2.0)
    assert math.prod(model.initial_state(1)["ema.h"].shape) == 3 * 16
