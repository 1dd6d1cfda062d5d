"""A bank of complex modes (`modes.py`) one time after the other, by a native kernel, forward and backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, library

from smrdsl.kernels.native_calls import PLACES, SECOND, compact, expect, kernel

FORWARD = kernel("modes_forward", 5, 5)
BACKWARD = kernel("modes_backward", 5, 9)

NAME, BACK = "smrdsl::modes", "smrdsl::modes_backward"
# Not by `custom_op`, which would import torch's compiler at the first call, and takes longer at each.
library.define(NAME, "(Tensor v, Tensor x, Tensor re, Tensor im) -> Tensor")
library.define(
    BACK, "(Tensor states, Tensor x, Tensor re, Tensor im, Tensor dstates) -> (Tensor, Tensor, Tensor, Tensor)"
)


def modes_forward(v: Tensor, x: Tensor, re: Tensor, im: Tensor) -> Tensor:
    """The states (B, L, 2P) that v leaves after the state x (B, 2P); a = re + i im, (P) or (B, L, P) each."""
    return torch.ops.smrdsl.modes(v, x, re, im)


@library.impl(NAME, PLACES)
def forward(v: Tensor, x: Tensor, re: Tensor, im: Tensor) -> Tensor:
    states = like_forward(v, x, re, im)
    re, im, sizes = laid_out(v, re, im)
    FORWARD(*sizes, compact(v), compact(x), re, im, states)
    return states


@library.register_fake(NAME)
def like_forward(v: Tensor, x: Tensor, re: Tensor, im: Tensor) -> Tensor:
    batch, length, states = v.shape
    for part in (re, im):
        expect(part, *((batch, length) if re.dim() == 3 else ()), states // 2)
    expect(x, batch, states)
    return v.new_empty(v.shape)


@library.impl(BACK, PLACES)
def backward(
    states: Tensor, x: Tensor, re: Tensor, im: Tensor, dstates: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of v, x, re and im; where a is steady, those of re and im by sequence, (B, P)."""
    found = like_backward(states, x, re, im, dstates)
    re, im, sizes = laid_out(states, re, im)
    BACKWARD(*sizes, compact(states), compact(x), re, im, compact(dstates), *found)
    return found


@library.register_fake(BACK)
def like_backward(
    states: Tensor, x: Tensor, re: Tensor, im: Tensor, dstates: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    shape = re.shape if re.dim() == 3 else (x.shape[0], re.shape[0])
    return states.new_empty(states.shape), x.new_empty(x.shape), re.new_empty(shape), im.new_empty(shape)


def laid_out(v: Tensor, re: Tensor, im: Tensor) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """re and im so that the kernels can step through them, and whether they vary, their pitch, and the other sizes."""
    (batch, length, states), varying = v.shape, re.dim() == 3
    if not (varying and even(re) and re.stride() == im.stride()):
        re, im = re.contiguous(), im.contiguous()
    return re, im, (int(varying), re.stride(1) if varying else 0, batch, length, states // 2)


def even(x: Tensor) -> bool:
    """Whether its rows lie at one distance, as in a part of a compact tensor."""
    batch, time, last = x.stride()
    return last == 1 and batch == x.shape[1] * time


def remember_inputs(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    _, x, re, im = inputs
    ctx.save_for_backward(output, x, re, im)


def gradients(ctx: Any, dstates: Tensor) -> tuple[Tensor, ...]:
    states, x, re, im = ctx.saved_tensors
    dv, dx, dre, dim = torch.ops.smrdsl.modes_backward(states, x, re, im, dstates)
    return (dv, dx, dre, dim) if re.dim() == 3 else (dv, dx, dre.sum(0), dim.sum(0))


def no_second(ctx: Any, *gradients: Tensor) -> None:
    raise NotImplementedError(SECOND)


library.register_autograd(NAME, gradients, setup_context=remember_inputs)
library.register_autograd(BACK, no_second)
