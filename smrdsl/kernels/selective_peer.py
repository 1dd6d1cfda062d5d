"""mamba_ssm's selective scan on a GPU: where it is installed, can do what is asked, and is quicker than ours there.

What it cannot do: start from a state, take gaps, give gradients of the last state or second derivatives, be seen
through by a compiler. It wants time last, so its streams are copied. Which is quicker depends on the card and on the
shape: both are timed once for each kind of shape, in a process, with the gradients if there are any. fla has no kernel
for this core; its own Mamba layer calls mamba_ssm too.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from smrdsl.kernels import native_selective
from smrdsl.kernels.native_second import derivable
from smrdsl.kernels.native_selective import Given, composed

THERE = find_spec("mamba_ssm") is not None
DEVICE = "cuda"
MOST_STATES = 256
"""What its kernel has room for."""
ROUNDS = 5
Run = Callable[[Given], tuple[Tensor, Tensor]]
quicker: dict[tuple[object, ...], bool] = {}
"""Whether theirs is, by kind of shape."""


def run(given: Given, decay: bool) -> tuple[Tensor, Tensor]:
    """As `native_selective.run` from the zero state; the state after may have no gradient."""

    def ours(given: Given) -> tuple[Tensor, Tensor]:
        return native_selective.run(given, decay)

    return theirs(given) if can_run(given) and is_quicker(theirs, ours, given) else ours(given)


def can_run(given: Given) -> bool:
    """Whether it may run on this; where there are no gaps, it does not matter what they do."""
    x, gaps, a = given[0], given[3], given[4]
    here = THERE and x.device.type == DEVICE and not torch.compiler.is_compiling()
    return here and gaps is None and x.numel() > 0 and a.shape[1] <= MOST_STATES


def theirs(given: Given) -> tuple[Tensor, Tensor]:
    """Its public function, which takes (B, D, L) and (B, N, L)."""
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn  # type: ignore[import-not-found]

    x, delta, bias, _, a, b, c, d, _ = given
    x, delta, b, c = (p.transpose(1, 2).contiguous() for p in (x, delta, b, c))
    y, after = selective_scan_fn(x, delta, a, b, c, d, delta_bias=bias, delta_softplus=True, return_last_state=True)
    return Derivable.apply(y.transpose(1, 2), *given), after


class Derivable(torch.autograd.Function):
    """y itself; a gradient that is to be derived again goes by torch's own operators, not through the kernel."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, *given: Tensor | None) -> Tensor:
        ctx.save_for_backward(*given)
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        given = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return *grads, *[None] * len(given)
        return None, *derivable(lambda *own: composed(*own, decay=False)[0], given, ctx.needs_input_grad[1:], grads)


def is_quicker(one: Run, other: Run, given: Given) -> bool:
    """Measured at the first call with such a shape; unmeasured inside of a CUDA graph, where nothing may wait."""
    x, learns = given[0], torch.is_grad_enabled() and any(p is not None and p.requires_grad for p in given)
    batch, length, channels = x.shape
    kind = x.device, (batch * length).bit_length(), channels, given[4].shape[1], learns
    if kind not in quicker:
        if x.is_cuda and torch.cuda.is_current_stream_capturing():
            return False
        times = [(seconds(one, given, learns), seconds(other, given, learns)) for _ in range(ROUNDS + 1)][1:]
        quicker[kind] = median(a for a, _ in times) < median(b for _, b in times)
    return quicker[kind]


def seconds(run: Run, given: Given, learns: bool) -> float:
    """Of one call, and of its gradients if they are asked for."""
    own = tuple(None if p is None else p.detach().requires_grad_(learns and p.requires_grad) for p in given)
    waiting = torch.cuda.synchronize if own[0] is not None and own[0].is_cuda else (lambda: None)
    waiting()
    start = perf_counter()
    y, _ = run(own)  # type: ignore[arg-type]
    if learns:
        torch.autograd.grad(y.sum(), [p for p in own if p is not None and p.requires_grad], allow_unused=True)
    waiting()
    return perf_counter() - start
