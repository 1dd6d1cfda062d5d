"""One sample through a bank of systems by a native kernel, where nothing is recorded for a backward pass.

A step that is no part of a program (`step_program.py`) has its state come in and go out as torch has it. For many
sequences torch's own operations take ten times as long, most of it for fresh memory.
"""

from __future__ import annotations

import torch
from torch import Tensor

from smrdsl.kernels.native_bank import NativeBank
from smrdsl.kernels.native_calls import expect, fits, kernel

LEAST = 16
"""Numbers in a state from which on it is the quicker one."""
STEP = kernel("bank_step", 5, 10)


def can_step(u: Tensor, x: Tensor) -> bool:
    """Whether the kernel may run on a sample u (B, 1, H) after the state x (B, H, N)."""
    recorded = torch.is_grad_enabled() or torch.compiler.is_compiling()
    return not recorded and u.device.type == "cpu" and x.shape[2] >= LEAST and fits(u, x)


def step(bank: NativeBank, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """y (B, 1, H) and the state after it."""
    batch, _, channels = u.shape
    expect(x, batch, channels, bank.a.shape[1])
    y, after = u.new_empty(u.shape), x.new_empty(x.shape)
    rank, parts = (0, 2 if bank.kind else 1) if bank.left is None else (bank.kind, 2)
    sizes = parts, rank, batch, channels, x.shape[2]
    given = u.contiguous(), x.contiguous(), bank.a, bank.b, bank.c, bank.d, bank.left, bank.right
    STEP(*sizes, *given, y, after)
    return y, after
