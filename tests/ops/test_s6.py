"""`s6`: its equation in numbers, where it starts, gaps, precision, export, and the peers that compute the same."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, export

import smrdsl
from smrdsl.core.errors import SpecError
from smrdsl.core.types import StreamType
from smrdsl.kernels import selective
from smrdsl.ops.contract import Params, Range, Streams
from smrdsl.ops.s6 import OPERATOR, S6Params, parameters
from smrdsl.ops.s6.layer import S6
from smrdsl.ops.s6.reference import reference

every_sample = pytest.mark.parametrize(("p", "inputs"), OPERATOR.samples)


def make(width: int, dtype: torch.dtype = torch.float64, **arguments: Any) -> S6:
    p, inputs = S6Params(**arguments), (StreamType.real(width),)
    layer = S6(p, inputs, inputs[0])
    layer.reset_parameters(lambda name: torch.Generator().manual_seed(sum(map(ord, name))))
    return layer.to(dtype)


def noise(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def close(found: Any, wanted: Any) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


# --- the equation


@pytest.mark.parametrize("strategy", OPERATOR.strategies)
def test_the_equation_in_numbers(strategy: str) -> None:
    """A = -1, D = 1 and (x, Delta, B, C) = (1, .5, 1, 1), (-1, .25, .5, 2), (2, 1, -1, 1), computed by hand."""
    layer = make(4, state=1, dt_rank=1)
    layer.strategy = strategy
    # Channel 0 is x; the others tell d, B and C, with b_dt such that Delta = softplus(d).
    x = torch.tensor([[1.0, 0.5, 1.0, 1.0], [-1.0, 0.25, 0.5, 2.0], [2.0, 1.0, -1.0, 1.0]], dtype=torch.float64)
    x[:, 1] = torch.log(torch.expm1(x[:, 1]))
    with torch.no_grad():
        layer.W_x.copy_(torch.eye(4)[1:])
        layer.W_dt.fill_(1.0)
        layer.b_dt.zero_()
        y = layer(x[None])[0, :, 0]
    close(y, torch.tensor([1.5, -0.4711992169, 0.0972674683], dtype=torch.float64))


# --- initial values


def test_where_it_starts() -> None:
    layer = make(96, state=5, dt_rank=7, dt=Range(low=0.01, high=0.02))
    close(layer.A_log, torch.log(torch.arange(1.0, 6.0)).double().expand(96, 5))
    assert layer.D is not None
    assert (layer.D == 1).all()
    steps = F.softplus(layer.b_dt)
    assert 0.00999 < steps.min() < 0.0105 < 0.0195 < steps.max() < 0.02001
    for weight, bound in ((layer.W_dt, 7**-0.5), (layer.W_x, 96**-0.5)):
        assert 0.95 * bound < weight.abs().max() <= bound
        assert abs(weight.mean()) < 0.1 * bound


def test_parameters_are_those_of_mamba_130m() -> None:
    """ED 1536, N 16, R 48; what stands outside of the core, in_proj, conv1d, out_proj and norm, is 3,633,408 more."""
    stream = StreamType.real(1536)
    own = parameters(S6Params(dt_rank=48), (stream,), stream)
    assert own["W_x"].shape == (48 + 2 * 16, 1536)
    outside = 3072 * 768 + 1536 * 5 + 768 * 1536 + 768
    assert sum(p.size for p in own.values()) + outside == 3_771_648
    assert {name for name, p in own.items() if not p.decay} == {"A_log", "D", "b_dt"}


@pytest.mark.parametrize(("width", "rank"), [(8, 1), (16, 1), (17, 2), (768, 48)])
def test_the_rank_follows_the_width(width: int, rank: int) -> None:
    assert parameters(S6Params(), (StreamType.real(width),), StreamType.real(width))["W_dt"].shape == (width, rank)


# --- gaps


@every_sample
@pytest.mark.parametrize("strategy", OPERATOR.strategies)
def test_gaps_and_rates_are_those_of_the_definition(p: Params, inputs: Streams, strategy: str) -> None:
    width = inputs[0].width
    layer = make(width, **dict(p))
    layer.strategy = strategy
    x, dt = noise(2, 19, width), noise(2, 19, seed=1).exp()
    learned = list(layer.parameters())
    wanted = reference(layer, x, rate=0.5, dt=dt)
    y = layer(x, rate=0.5, dt=dt)
    close(y, wanted)
    close(layer(x, rate=torch.tensor(0.5), dt=dt), wanted)
    close(torch.autograd.grad(y.sin().sum(), learned), torch.autograd.grad(wanted.sin().sum(), learned))
    h = x.new_zeros(2, *layer.A_log.shape)
    first, h = layer.extend(x[:, :7], h, rate=0.5, dt=dt[:, :7])
    rest = []
    for t in range(7, 19):
        y_t, h = layer.step(x[:, t], h, rate=0.5, dt=dt[:, t])
        rest.append(y_t)
    close(torch.cat([first, torch.stack(rest, 1)], 1), wanted)


def test_a_rate_of_2_is_a_step_of_2_delta() -> None:
    """softplus is inverted, so that Delta itself is doubled; under `decay` the sample weighs what it did."""
    layer, twice = make(5, state=2, dt_rank=1), make(5, state=2, dt_rank=1)
    x = noise(1, 12, 5)
    with torch.no_grad():
        for each in (layer, twice):
            each.W_dt.zero_()
        twice.b_dt.copy_(torch.log(torch.expm1(2 * F.softplus(layer.b_dt))))
        close(layer(x, rate=2.0), twice(x))
        alone = make(5, state=2, dt_rank=1, steps="decay", skip=False)
        alone.load_state_dict({k: v for k, v in layer.state_dict().items() if k != "D"})
        first = alone(x[:, :1], rate=2.0)
        close(first, alone(x[:, :1]))


# --- precision


def test_under_autocast_the_scan_stays_in_float32() -> None:
    layer, x = make(32, torch.float32), noise(2, 300, 32, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
        y.square().sum().backward()
    assert y.dtype == torch.float32
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in layer.parameters())
    # The maps round to eight bits, the long sums do not.
    wanted = layer(x)
    assert (y - wanted).norm() < 0.01 * wanted.norm()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half, h = layer.extend(x.bfloat16(), torch.zeros(2, 32, 16))
    assert (half.dtype, h.dtype) == (torch.bfloat16, torch.float32)


@pytest.mark.parametrize("dt", [Range(low=0.001, high=0.1), Range(low=1.0, high=10.0)])
def test_float32_is_finite_over_16384_samples(dt: Range) -> None:
    layer, x = make(4, torch.float32, state=4, dt=dt), noise(1, 16384, 4, dtype=torch.float32)
    y = layer(x)
    y.square().mean().backward()
    wanted = layer.double()(x.double())
    assert (y - wanted).abs().max() < 1e-4 * wanted.abs().max()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in layer.parameters())


# --- in the language


def test_no_convolution_for_a_core_that_follows_its_input() -> None:
    with pytest.raises(SpecError, match="`s6` cannot be executed as `conv`"):
        smrdsl.compile_text("model m { signal(channels=4) s6 execute s6 as conv }")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("dt_rank=0", "must be above 0"),
        ("dt_rank=1.5", "whole number"),
        ("state=0", "must be above 0"),
        ("dt=0..1", "a step is above 0"),
        ("steps=none", "both, decay"),
    ],
)
def test_arguments_that_make_no_sense(arguments: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        smrdsl.compile_text(f"model m {{ signal(channels=4) s6({arguments}) }}")


def test_a_placed_gate_is_seen_by_step_and_maps() -> None:
    text = "model m { signal(channels=4) s6(state=2) place affine before s6 }"
    model = smrdsl.compile_text(text, mode="infer", dtype="float64")
    x, core = noise(1, 9, 4), model.get_submodule("s6")
    with torch.no_grad():
        model.get_submodule("affine").get_parameter("scale").fill_(0.5)
        close(model(x), core(0.5 * x))


def test_exported_for_any_length_of_torchs_own_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selective, "LOG", 2)  # shorter chunks, a graph of half the size
    layer = make(3, state=2)
    layer.strategy = "recurrent"  # no loop over a symbol, whatever was asked for

    class Chunk(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
            return self.layer.extend(x, h)

    shapes = {"x": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}, "h": {0: Dim.DYNAMIC}}
    with torch.no_grad():
        program = export(Chunk(), (noise(2, 9, 3), noise(2, 3, 2)), dynamic_shapes=shapes)
        assert not [n for n in program.graph.nodes if "smrdsl" in str(n.target)]
        for batch, length in ((2, 9), (3, 75), (1, 1)):
            x, h = noise(batch, length, 3, seed=length), noise(batch, 3, 2, seed=3)
            close(program.module()(x, h), layer.extend(x, h))


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_with_its_gradient_for_several_lengths(dynamic: bool) -> None:
    torch._dynamo.reset()
    layer = make(4, state=2)
    fast = torch.compile(layer, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    learned = list(layer.parameters())
    for length in (40, 23):
        x = noise(2, length, 4)
        found = torch.autograd.grad(fast(x).sin().sum(), learned)
        close(found, torch.autograd.grad(layer(x).sin().sum(), learned))


def test_gradients_of_each_sequence_by_torch_func() -> None:
    layer = make(3, state=2)
    x, learned = noise(4, 20, 3), dict(layer.named_parameters())

    def loss(parameters: dict[str, Tensor], one: Tensor) -> Tensor:
        return torch.func.functional_call(layer, parameters, (one[None],)).sin().sum()

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(learned, x)
    for i in range(4):
        wanted = torch.autograd.grad(loss(learned, x[i]), list(learned.values()))
        close([found[name][i] for name in learned], list(wanted))


# --- peers


def core_of(width: int, r: int, n: int, weights: dict[str, Tensor]) -> S6:
    """Ours with the published names: x_proj, dt_proj, A_log and D go over as they are."""
    layer = make(width, torch.float32, state=n, dt_rank=r)
    layer.load_state_dict(
        {
            "W_x": weights["x_proj.weight"],
            "W_dt": weights["dt_proj.weight"],
            "b_dt": weights["dt_proj.bias"],
            "A_log": weights["A_log"],
            "D": weights["D"],
        }
    )
    return layer


@pytest.mark.parametrize("pscan", [True, False])
def test_mambapy_computes_the_same(pscan: bool) -> None:
    mamba = pytest.importorskip("mambapy.mamba")
    torch.manual_seed(0)
    config = mamba.MambaConfig(d_model=6, n_layers=1, d_state=4, pscan=pscan, use_cuda=False)
    block = mamba.MambaBlock(config)
    core = core_of(config.d_inner, config.dt_rank, config.d_state, block.state_dict())
    x = noise(2, 33, config.d_inner, dtype=torch.float32)
    wanted = block.ssm(x, None)
    torch.testing.assert_close(core(x), wanted, rtol=1e-4, atol=1e-5)
    pairs = {"x_proj.weight": "W_x", "dt_proj.weight": "W_dt", "dt_proj.bias": "b_dt", "A_log": "A_log", "D": "D"}
    theirs = torch.autograd.grad(wanted.square().sum(), [block.get_parameter(n) for n in pairs])
    ours = torch.autograd.grad(core(x).square().sum(), [core.get_parameter(n) for n in pairs.values()])
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    h = torch.zeros(2, config.d_inner, config.d_state)
    y, after = core.step(x[:, 0], h)
    torch.testing.assert_close((y, after), block.ssm_step(x[:, 0], h), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_initial_values_are_spread_as_in_mambapy() -> None:
    mamba = pytest.importorskip("mambapy.mamba")
    torch.manual_seed(0)
    block = mamba.MambaBlock(mamba.MambaConfig(d_model=512, n_layers=1, d_state=16, use_cuda=False))
    core = make(1024, torch.float32, dt_rank=block.config.dt_rank)
    close(core.A_log, block.A_log)
    for ours, theirs in ((core.W_x, block.x_proj.weight), (core.W_dt, block.dt_proj.weight)):
        assert math.isclose(float(ours.std()), float(theirs.std()), rel_tol=0.02)
    assert math.isclose(float(core.b_dt.mean()), float(block.dt_proj.bias.mean()), rel_tol=0.03)
    assert math.isclose(float(core.b_dt.std()), float(block.dt_proj.bias.std()), rel_tol=0.05)
