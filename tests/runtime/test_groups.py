"""Optimiser groups: what the papers prescribe for each operator."""

from __future__ import annotations

import re

import pytest
import torch

import smrdsl
from smrdsl.graph.show import show_params
from smrdsl.ops.registry import operators

DYNAMICS = re.compile(r"log_dt|log_step|A_.*|Lambda.*|P|dt_bias|b_dt|delta|alpha|nu_log|theta_log|gamma_log|D|omega")
"""Names of what makes A and the step, and of the skip: none of it decays."""
CORES = [pytest.param(op, p, i[0].width, id=f"{op.name}-{n}") for op in operators().values() if "ssm" in op.families
         for n, (p, i) in enumerate(op.samples) if len(i) == 1]  # fmt: skip


@pytest.mark.parametrize(("op", "p", "width"), CORES)
def test_dynamics_never_decay(op, p, width):
    model = smrdsl.layer(f"{op.name}({show_params(p)})", width)
    groups = model.parameter_groups(lr=0.01, weight_decay=0.1)
    decays = {id(t): g["weight_decay"] for g in groups for t in g["params"]}
    assert len(decays) == len(list(model.parameters())), "every tensor is in one group"
    for name, tensor in model.named_parameters():
        if DYNAMICS.fullmatch(name.rpartition(".")[2]):
            assert decays[id(tensor)] == 0.0, name


def groups_of(text: str, width: int, **options: float) -> dict[str, tuple[str, float, float]]:
    """Parameter -> name of its group, learning rate, weight decay."""
    model = smrdsl.layer(text, width)
    groups = model.parameter_groups(lr=0.01, weight_decay=0.1, **options)
    names = {id(t): n for n, t in model.named_parameters()}
    return {names[id(t)]: (g["name"], g["lr"], g["weight_decay"]) for g in groups for t in g["params"]}


SLOW, REGULAR, STILL = ("ssm without decay", 1e-3, 0.0), ("regular", 0.01, 0.1), ("regular without decay", 0.01, 0.0)


def test_s4_and_s5_have_a_slow_group_of_their_own():
    """S4: A, B, P and the step; S5's `standard` configuration: Lambda, B and the step. C and the rest are ordinary."""
    s4 = groups_of("s4(state=4)", 4)
    assert {n: s4[f"s4.{n}"] for n in ("log_dt", "log_A_real", "A_imag", "B", "P")} == dict.fromkeys(
        ("log_dt", "log_A_real", "A_imag", "B", "P"), SLOW
    )
    assert s4["s4.C"] == REGULAR
    s5 = groups_of("s5(state=4)", 4)
    assert {s5[f"s5.{n}"] for n in ("Lambda_re", "Lambda_im", "B", "log_step")} == {SLOW}
    assert s5["s5.C"] == REGULAR


def test_mamba_learns_everything_at_one_rate():
    """`_no_weight_decay` in its code: A_log and D; the step's bias too."""
    found = groups_of("mamba(state=4)", 8)
    still = {name.rpartition(".")[2] for name, group in found.items() if group == STILL}
    assert still == {"A_log", "D", "b_dt", "bias"}
    assert {group for group in found.values()} == {STILL, REGULAR}


def test_the_slow_rate_can_be_chosen():
    assert groups_of("s4(state=4)", 4, ssm_lr=5e-4)["s4.B"] == ("ssm without decay", 5e-4, 0.0)


def test_an_optimiser_takes_them():
    model = smrdsl.layer("residual { norm(layer)  s4d(state=4)  linear(4) }", 4)
    torch.optim.AdamW(model.parameter_groups(lr=0.01, weight_decay=0.1))
