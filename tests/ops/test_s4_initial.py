"""Where s4d and s4 start, what their arguments refuse, and official options that ours expresses in another way.

The golden files are of state-spaces/s4 at e757cef, as those of `ops/golden`.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Misfit, Range
from smrdsl.ops.registry import operators
from smrdsl.ops.s4 import RANKS, S4Params
from smrdsl.ops.s4.hippo import correction, nplr, transition
from smrdsl.ops.s4d import S4dParams
from tests.ops.test_s4_laws import STRATEGIES, apart, make, numbers

GOLDEN = Path(__file__).parent.parent / "golden"

SPECTRUM = {
    4: (0.5565, 4.6033),
    8: (0.4275, 1.9578, 5.3542, 19.857),
    16: (0.352, 1.372, 2.900, 5.090),
    64: (0.2639, 0.9059, 1.703, 2.626),
}
"""N -> smallest |Im Lambda| of HiPPO-LegS, rounded."""


@pytest.mark.parametrize("n", SPECTRUM)
def test_the_spectrum_of_legs(n: int) -> None:
    lam = nplr("legs", n).lam
    assert np.abs(lam.real + 0.5).max() < 1e-10
    wanted = SPECTRUM[n]
    assert np.allclose(np.sort(-lam.imag)[: len(wanted)], wanted, rtol=2e-3)
    assert (np.diff(lam.imag) > 0).all()
    assert (lam.imag <= 0).all()


def test_the_matrix_of_legs() -> None:
    a, b = transition("legs", 4)
    rows = [
        [-1, 0, 0, 0],
        [-(3**0.5), -2, 0, 0],
        [-(5**0.5), -(15**0.5), -3, 0],
        [-(7**0.5), -(21**0.5), -(35**0.5), -4],
    ]
    assert np.allclose(a, rows)
    assert np.allclose(b, np.sqrt([1, 3, 5, 7]))


@pytest.mark.parametrize("n", [2, 4, 16, 64])
@pytest.mark.parametrize("measure", RANKS)
def test_the_low_rank_form_is_the_measure_in_another_basis(measure: str, n: int) -> None:
    a, b = transition(measure, n)
    form = nplr(measure, n, RANKS[measure])
    p = correction(measure, n, RANKS[measure])
    whole = 2 * ((form.v * form.lam) @ form.v.conj().T).real
    assert np.allclose(whole - p.T @ p, a, atol=1e-10 * np.abs(a).max())
    assert np.allclose(2 * (form.v @ form.b).real, b, atol=1e-10)
    first = form.v[np.argmax(np.abs(form.v) > 1e-8, axis=0), np.arange(n // 2)]
    assert np.allclose(first.imag, 0)
    assert (first.real > 0).all()


def test_dense_legs_and_its_layer_have_one_impulse_response() -> None:
    """LegS, N = 4, bilinear, Delta = 0.1, C = 1: figures computed by hand in numpy."""
    layer = make("s4", 1, state=4, skip=False)
    form = nplr("legs", 4)
    with torch.no_grad():
        layer.log_dt.fill_(math.log(0.1))
        layer.B.copy_(torch.view_as_real(torch.from_numpy(form.b)))
        layer.C.copy_(torch.view_as_real(torch.from_numpy(np.ones(4) @ form.v)))
    impulse = torch.zeros(1, 5, 1, dtype=torch.float64)
    impulse[0, 0] = 1
    wanted = [0.5470521977, 0.2234393675, 0.0639939291, -0.0045994186, -0.0256215502]
    assert torch.allclose(layer(impulse)[0, :, 0], torch.tensor(wanted, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize(
    ("init", "wanted"),
    [
        ("lin", [0, math.pi, 2 * math.pi, 3 * math.pi]),
        ("inv", [8 / math.pi * (8 / (2 * n + 1) - 1) for n in range(4)]),
        ("quad", [(1 + 2 * n) ** 2 / math.pi for n in range(4)]),
        ("real", [0, 0, 0, 0]),
        ("legs", list(-nplr("legs", 8).lam.imag)),
    ],
)
def test_s4d_starts_at_the_published_frequencies(init: str, wanted: list[float]) -> None:
    layer = make("s4d", 6, state=8, init=init, copies=2)
    assert torch.allclose(layer.A_imag, torch.tensor([wanted, wanted]).double(), rtol=1e-6)
    decay = torch.exp(layer.log_A_real)
    assert torch.allclose(decay, (torch.arange(4) + 1.0 if init == "real" else torch.tensor(0.5)).double())
    unit = init != "legs"
    assert torch.equal(layer.B[..., 0], torch.ones(2, 4).double()) == unit
    assert layer.B[..., 1].abs().max() <= 2.0


@pytest.mark.parametrize("name", ["s4d", "s4"])
def test_steps_and_outputs_start_as_published(name: str) -> None:
    layer = make(name, 4096, state=4, dt=Range(low=0.01, high=1.0))
    steps = torch.exp(layer.log_dt)
    assert 0.01 <= steps.min() < 0.011
    assert 0.9 < steps.max() <= 1.0
    assert abs(layer.log_dt.mean() - math.log(0.1)) < 0.1, "log-uniform"
    assert abs(layer.C.var() - 0.5) < 0.03, "complex normal: half a variance each"
    assert abs(layer.D.std() - 1.0) < 0.05


def test_float64_starts_where_float32_does() -> None:
    op, stream = operators()["s4"], (StreamType.real(4),)
    p = S4Params(state=8)
    layers: list[nn.Module] = []
    for dtype in (torch.float32, torch.float64):
        layer = op.load_layer()(p, stream, stream[0]).to(dtype)
        layer.reset_parameters(lambda name: torch.Generator().manual_seed(len(name)))
        layers.append(layer)
    for (name, a), b in zip(layers[0].named_parameters(), layers[1].parameters(), strict=True):
        if name in ("log_A_real", "A_imag", "B", "P"):
            assert torch.allclose(a.double(), b, rtol=1e-6), name


def test_the_rank_follows_the_measure() -> None:
    assert S4Params().rank == 1
    assert S4Params(init="legt").rank == 2
    assert S4Params(init="legt", rank=3).rank == 3
    with pytest.raises(ValidationError, match="init=legt needs rank=2 or more, not 1"):
        S4Params(init="legt", rank=1)


@pytest.mark.parametrize("wrong", [{"state": 3}, {"state": 0}, {"copies": 0}, {"disc": "euler"}, {"init": "hippo"}])
def test_arguments_that_cannot_be(wrong: dict[str, object]) -> None:
    for params in (S4dParams, S4Params):
        with pytest.raises(ValidationError):
            params(**wrong)


def test_steps_are_above_zero() -> None:
    with pytest.raises(ValidationError, match=r"a step is above 0, and the range 0..0.1 starts at 0"):
        S4dParams(dt=Range(low=0.0, high=0.1))


def test_copies_divide_the_width() -> None:
    op = operators()["s4d"]
    with pytest.raises(Misfit, match="3 copies do not share 8 channels evenly") as told:
        op.infer(S4dParams(copies=3), (StreamType.real(8),))
    assert told.value.argument == "copies"


def test_rows_of_copies_are_repeated_over_the_channels() -> None:
    """S -> H as [0 .. S-1, 0 .. S-1, ...]: with equal steps and C, channels that share a row are equal."""
    layer = make("s4d", 6, state=4, init="rand", copies=3, skip=False)
    with torch.no_grad():
        layer.log_dt.fill_(-2.0)
        layer.C.copy_(layer.C[:1].expand_as(layer.C))
    y = layer(numbers(1, 9, 1).expand(-1, -1, 6))
    assert torch.allclose(y[..., :3], y[..., 3:])
    assert not torch.allclose(y[..., 0], y[..., 1])


def read(name: str) -> dict[str, Tensor]:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return {key: torch.tensor(file[key]) for key in file.files if file[key].dtype.kind in "fci"}


def published(g: dict[str, Tensor], step: Tensor, scale: Tensor | float = 1.0, row: int = 0) -> nn.Module:
    """Our layer for one row of C, with Lambda and B scaled and a step for each channel."""
    channels, half = g["Lambda"].shape
    layer = make("s4" if "P" in g else "s4d", channels, state=2 * half, copies=channels)
    lam, b = g["Lambda"] * scale, g["B"] * scale
    values = {"log_dt": step.log(), "log_A_real": (-lam.real).log(), "A_imag": -lam.imag, "D": g["D"][row]}
    values |= {"B": torch.view_as_real(b), "C": torch.view_as_real(g["C"][row])}
    if "P" in g:
        values["P"] = torch.view_as_real(g["P"])
    layer.load_state_dict(values)
    return layer


def test_two_output_channels_are_two_layers() -> None:
    g = read("s4d_channels2")
    u, width = g["u"].transpose(1, 2), g["u"].shape[1]
    for row in range(2):
        layer = published(g, g["dt"][:, 0], row=row)
        assert apart(layer(u), g["y"][:, row * width : (row + 1) * width].transpose(1, 2)) < 1e-9


def test_a_step_for_every_state_is_part_of_lambda_and_b() -> None:
    g = read("s4d_dt_untied")
    layer = published(g, torch.ones(len(g["dt"])).double(), scale=g["dt"])
    for strategy in STRATEGIES:
        layer.strategy = strategy
        assert apart(layer(g["u"].transpose(1, 2)), g["y"].transpose(1, 2)) < 1e-9


@pytest.mark.parametrize("name", ["s4d_lmax_truncated", "s4_lmax_truncated"])
def test_ours_is_the_official_step_where_its_convolution_is_cut_off(name: str) -> None:
    """The official parallel form drops the kernel beyond l_max; its step, and ours in every form, does not."""
    g = read(name)
    layer, cut = published(g, g["dt"][:, 0]), int(g["l_max"])
    y = layer(g["u"].transpose(1, 2))
    assert apart(y, g["step_y"].transpose(1, 2)) < 1e-9
    assert apart(y[:, :cut], g["y"].transpose(1, 2)[:, :cut]) < 1e-9
    assert apart(y[:, cut:], g["y"].transpose(1, 2)[:, cut:]) > 1e-3
