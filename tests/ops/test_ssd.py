"""`ssd` and `ssd_scan`, which is `ssd` without its maps: where they start, gaps, limits, mistakes, export, a peer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, export

import smrdsl
from smrdsl.core.errors import SpecError
from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Operator, Params, Range, Streams
from smrdsl.ops.ssd import OPERATORS, ScanParams, SsdParams, parameters, parameters_scan
from smrdsl.ops.ssd.layer import SSD, SSDScan

SSD_OPERATOR, SCAN_OPERATOR = OPERATORS
SAMPLES = [pytest.param(op, *sample, id=f"{op.name}-{i}") for op in OPERATORS for i, sample in enumerate(op.samples)]


def draw(name: str) -> torch.Generator:
    return torch.Generator().manual_seed(sum(map(ord, name)))


def make(op: Operator, p: Params, inputs: Streams, dtype: torch.dtype = torch.float64) -> Any:
    layer = op.load_layer()(p, inputs, op.infer(p, inputs))
    layer.reset_parameters(draw)
    return layer.to(dtype)


def ssd(width: int, dtype: torch.dtype = torch.float64, **arguments: Any) -> SSD:
    layer = make(SSD_OPERATOR, SsdParams(**arguments), (StreamType.real(width),), dtype)
    assert isinstance(layer, SSD)
    return layer


def ssd_scan(width: int, maps: int, dtype: torch.dtype = torch.float64, **arguments: Any) -> SSDScan:
    """For b and c of `maps` channels."""
    p = ScanParams(**arguments)
    inputs = tuple(map(StreamType.real, (width, maps, maps, width // p.head)))
    layer = make(SCAN_OPERATOR, p, inputs, dtype)
    assert isinstance(layer, SSDScan)
    return layer


def noise(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def close(found: Any, wanted: Any) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


# --- the equation


@pytest.mark.parametrize("strategy", SSD_OPERATOR.strategies)
def test_the_equation_in_numbers(strategy: str) -> None:
    """One head of one channel and one state is S6's: A = -1, D = 1, (x, Delta, B, C) as there."""
    layer = ssd_scan(1, 1, head=1)
    layer.strategy = strategy
    x, delta, b, c = torch.tensor([[1.0, 0.5, 1, 1], [-1, 0.25, 0.5, 2], [2, 1, -1, 1]], dtype=torch.float64).T
    with torch.no_grad():
        layer.dt_bias.zero_()
        layer.A_log.zero_()
        y = layer(*(s.view(1, 3, 1) for s in (x, b, c, torch.log(torch.expm1(delta)))))
    close(y.flatten(), torch.tensor([1.5, -0.4711992169, 0.0972674683], dtype=torch.float64))


def test_ssd_is_the_scan_behind_three_maps() -> None:
    whole = ssd(12, state=3, head=3, groups=2)
    bare = ssd_scan(12, 6, head=3, groups=2)
    bare.load_state_dict({k: v for k, v in whole.state_dict().items() if not k.startswith("W_")})
    x = noise(2, 70, 12)
    close(whole(x), bare(x, F.linear(x, whole.W_B), F.linear(x, whole.W_C), F.linear(x, whole.W_dt)))


# --- initial values


def test_where_it_starts() -> None:
    layer = ssd(400, state=4, head=1, dt=Range(low=0.01, high=0.02), a=Range(low=2.0, high=3.0))
    steps, decays = F.softplus(layer.dt_bias), layer.A_log.exp()
    assert 0.00999 < steps.min() < 0.0102 < 0.0198 < steps.max() < 0.02001
    assert 2.0 <= decays.min() < 2.02 < 2.98 < decays.max() <= 3.0001
    assert abs(decays.mean() - 2.5) < 0.05
    assert layer.D is not None
    assert (layer.D == 1).all()
    for weight in (layer.W_B, layer.W_C, layer.W_dt):
        assert 0.95 / 20 < weight.abs().max() <= 1 / 20
    assert not torch.equal(layer.W_B, layer.W_C)


def test_parameters_of_the_published_size() -> None:
    """Of mamba2-130m: 24 heads of 64, N 128, one group."""
    streams = tuple(map(StreamType.real, (1536, 128, 128, 24)))
    bare = parameters_scan(ScanParams(), streams, streams[0])
    assert {name: p.shape for name, p in bare.items()} == {"dt_bias": (24,), "A_log": (24,), "D": (24,)}
    assert not any(p.decay for p in bare.values())
    own = parameters(SsdParams(), streams[:1], streams[0])
    maps = {"W_B": (128, 1536), "W_C": (128, 1536), "W_dt": (24, 1536)}
    assert {name: p.shape for name, p in own.items() if p.decay} == maps
    assert SSD_OPERATOR.state(SsdParams(), streams[:1], streams[0])["h"].shape == (24, 64, 128)
    assert SCAN_OPERATOR.state(ScanParams(), streams, streams[0])["h"].shape == (24, 64, 128)


# --- gaps and limits


@pytest.mark.parametrize(("op", "p", "inputs"), SAMPLES)
@pytest.mark.parametrize("strategy", SSD_OPERATOR.strategies)
def test_gaps_and_rates_are_those_of_the_definition(op: Operator, p: Params, inputs: Streams, strategy: str) -> None:
    layer = make(op, p, inputs)
    layer.strategy = strategy
    streams = [noise(2, 19, i.width, seed=n) for n, i in enumerate(inputs)]
    dt = noise(2, 19, seed=9).exp()
    learned = list(layer.parameters())
    wanted = op.load_reference()(layer, *streams, rate=0.5, dt=dt)
    y = layer(*streams, rate=0.5, dt=dt)
    close(y, wanted)
    close(torch.autograd.grad(y.sin().sum(), learned), torch.autograd.grad(wanted.sin().sum(), learned))
    shape = op.state(p, inputs, inputs[0])["h"].shape
    first, h = layer.extend(*(s[:, :7] for s in streams), torch.zeros(2, *shape).double(), rate=0.5, dt=dt[:, :7])
    rest = []
    for t in range(7, 19):
        y_t, h = layer.step(*(s[:, t] for s in streams), h, rate=0.5, dt=dt[:, t])
        rest.append(y_t)
    close(torch.cat([first, torch.stack(rest, 1)], 1), wanted)


def test_a_limit_holds_the_step() -> None:
    """Far below the range every step is its lower end, far above its upper one."""
    layer = ssd_scan(2, 3, head=1, limit=Range(low=0.25, high=0.5), skip=False)
    x, b, c = noise(1, 1, 2), noise(1, 1, 3), noise(1, 1, 3)
    for delta, step in ((-50.0, 0.25), (50.0, 0.5)):
        y = layer(x, b, c, torch.full((1, 1, 2), delta).double())
        close(y, step * (b * c).sum() * x)


def test_heads_and_groups_keep_to_themselves() -> None:
    layer = ssd_scan(12, 6, head=2, groups=3)
    x, b, c, delta = (noise(1, 20, w, seed=w).requires_grad_() for w in (12, 6, 6, 6))
    # The second of the six heads, channels 2 and 3, is in the first group: the first two numbers of b and c.
    layer(x, b, c, delta)[..., 2:4].square().sum().backward()
    for stream, used in ((x, {2, 3}), (b, {0, 1}), (c, {0, 1}), (delta, {1})):
        assert stream.grad is not None
        assert set(stream.grad[0].abs().sum(0).nonzero().flatten().tolist()) == used


# --- precision


def test_under_autocast_the_scan_stays_in_float32() -> None:
    layer, x = ssd(32, torch.float32, state=8, head=8), noise(2, 300, 32, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
        y.square().sum().backward()
    assert y.dtype == torch.float32
    wanted = layer(x)
    assert (y - wanted).norm() < 0.01 * wanted.norm()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half, h = layer.extend(x.bfloat16(), torch.zeros(2, 4, 8, 8))
    assert (half.dtype, h.dtype) == (torch.bfloat16, torch.float32)


@pytest.mark.parametrize("dt", [Range(low=0.001, high=0.1), Range(low=1.0, high=10.0)])
def test_float32_is_finite_over_16384_samples(dt: Range) -> None:
    layer, x = ssd(4, torch.float32, state=4, head=2, dt=dt), noise(1, 16384, 4, dtype=torch.float32)
    y = layer(x)
    y.square().mean().backward()
    wanted = layer.double()(x.double())
    assert (y - wanted).abs().max() < 1e-4 * wanted.abs().max()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in layer.parameters())


# --- in the language


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("ssd(head=3)", "8 channels are no whole number of heads of 3"),
        ("ssd(head=2, groups=3)", "3 groups do not share 4 heads"),
        ("ssd(head=0)", "must be above 0"),
        ("ssd(head=2, a=0..4)", "-A is above 0"),
        ("ssd(head=2, dt=0..4)", "a step is above 0"),
        ("ssd(head=2, limit=-1..4)", "never below 0"),
        ("ssd(head=2, limit=0..0)", "leaves no step above 0"),
        ("ssd(head=2, limit=4..1)", "backwards"),
        ("it := ssd_scan(it, b, c, d, head=2)", "b has 6 channels and c 4"),
        ("it := ssd_scan(it, b, b, b, head=2)", "delta has 6 channels; it has one for each head, 8 / 2 = 4"),
        ("it := ssd_scan(it, b, b, d, head=2, groups=4)", "the 6 channels of b and c are not divisible by 4 groups"),
        ("it := ssd_scan(it, b, b, d, head=3)", "8 channels are no whole number of heads of 3"),
        ("it := ssd_scan(it, b, b, d, head=2, state=3)", "unknown argument `state`"),
        ("ssd(head=2) execute ssd as conv", "`ssd` cannot be executed as `conv`"),
    ],
)
def test_what_does_not_fit_is_told(step: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        smrdsl.compile_text(
            f"model m {{ signal(channels=8) b := it |> linear(6) c := it |> linear(4) d := it |> linear(4) {step} }}"
        )


SPEC = """model m {
  signal(channels=4, timed=true)
  b := it |> linear(6)
  c := it |> linear(6)
  d := it |> linear(2)
  it := ssd_scan(it, b, c, d, head=2, groups=2, dt=0.1..0.2)
  ssd(state=3, head=1)
  place affine before ssm
}"""


def test_a_placed_gate_is_seen_by_all_that_ssd_makes_and_by_x_alone_in_the_scan() -> None:
    model = smrdsl.compile_text(SPEC, mode="infer", dtype="float64")
    u, dt = noise(2, 9, 4), torch.rand(2, 9, dtype=torch.float64)
    bare, whole = model.get_submodule("ssd_scan"), model.get_submodule("ssd")
    maps = [model.get_submodule(name) for name in ("linear", "linear_2", "linear_3")]
    gates = [m for name, m in model.named_modules() if "affine" in name]
    assert len(gates) == 2
    with torch.no_grad():
        for gate in gates:
            gate.get_parameter("scale").fill_(0.5)
        wanted = whole(0.5 * bare(0.5 * u, *(m(u) for m in maps), dt=dt), dt=dt)
        close(model(u, dt=dt), wanted)
        state, outputs = model.initial_state(2), []
        for t in range(9):
            y, state = model.step(u[:, t], state, dt=dt[:, t])
            outputs.append(y)
        close(torch.stack(outputs, 1), wanted)


def test_exported_for_any_length() -> None:
    layer = ssd_scan(2, 3, head=1)
    layer.strategy = "recurrent"  # no loop over a symbol, whatever was asked for

    class Chunk(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, streams: tuple[Tensor, ...], h: Tensor) -> tuple[Tensor, Tensor]:
            return self.layer.extend(*streams, h)

    def given(batch: int, length: int) -> tuple[tuple[Tensor, ...], Tensor]:
        return tuple(noise(batch, length, w, seed=w) for w in (2, 3, 3, 2)), noise(batch, 2, 1, 3)

    any_size = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}
    shapes = {"streams": (any_size,) * 4, "h": {0: Dim.DYNAMIC}}
    with torch.no_grad():
        program = export(Chunk(), given(2, 9), dynamic_shapes=shapes).module()
        for size in ((2, 9), (3, 200), (1, 1)):
            streams, h = given(*size)
            close(program(streams, h), layer.extend(*streams, h))


# --- a peer


@pytest.mark.parametrize("groups", [1, 2])
def test_transformers_computes_the_same(groups: int) -> None:
    peer = pytest.importorskip("transformers.models.mamba2.modeling_mamba2")
    limit = Range(low=0.05, high=0.4)
    layer = ssd_scan(8, 3 * groups, torch.float32, head=2, groups=groups, limit=limit)
    x, b, c, delta = (noise(2, 70, w, dtype=torch.float32, seed=w) for w in (8, 3 * groups, 3 * groups, 4))
    assert layer.D is not None
    with torch.no_grad():
        layer.D.uniform_(generator=draw("D"))
        y, h = layer.extend(x, b, c, delta, torch.zeros(2, 4, 2, 3))
        wanted, last = peer.mamba2_chunk_scan(
            x.unflatten(2, (4, 2)),
            delta,
            -torch.exp(layer.A_log),
            b.unflatten(2, (groups, 3)),
            c.unflatten(2, (groups, 3)),
            chunk_size=16,
            D=layer.D,
            dt_bias=layer.dt_bias,
            dt_softplus=True,
            dt_limit=(limit.low, limit.high),
            return_final_states=True,
        )
    torch.testing.assert_close(y, wanted.flatten(2), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(h, last, rtol=1e-4, atol=1e-5)
