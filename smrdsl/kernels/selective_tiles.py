"""The selective scan in tiles of time that stay in a cache, with a backward pass of its own; see `selective.py`.

The states of a tile, and what decays them, are made in whole products; the recurrence itself is then one multiply-add
over all channels for each time, which beats any scan in parallel on a CPU: those do more work and move more memory.
For the backward pass the state before each tile is kept, and the states inside are made again:

    g_t = c_t dy_t + e_{t+1} g_{t+1},   e_t = exp(s_t A)        the gradient of h_t
    dv_t = b_t . g_t,   db_t = sum_d v_t g_t,   dc_t = sum_d dy_t h_t
    q_t = g_t e_t h_{t-1},   ds_t = A . q_t,   dA = sum_t s_t q_t

Both passes are operators of torch, `smrdsl_tiles::selective_scan` and its backward: a compiler takes them whole
instead of unrolling time. Inside, states lie as (B, T, N, D), channels last, so that rows are long and b, c broadcast.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, library

from smrdsl.kernels.core import in_full

TIMES = 16
"""Times of a tile, so that the states kept take N / 16 of the memory of the input."""
TILE = 1 << 18
"""Elements of a tile: what fits in a cache."""


def scan(v: Tensor, s: Tensor, a: Tensor, b: Tensor, c: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """v and s (B, L, D), a (D, N), b and c (B, L, N), the state h (B, D, N) before, L > 0 -> y (B, L, D) and h."""
    learns = torch.is_grad_enabled() and any(x.requires_grad for x in (v, s, a, b, c, h))
    y, after, _ = torch.ops.smrdsl_tiles.selective_scan(v, s, a, b, c, h, learns)
    return y, after


# --- the two operators


def _results(count: int) -> str:
    return f" -> ({', '.join(['Tensor'] * count)})"


# Not by `custom_op`, which would import torch's compiler at the first call: a second, for all who never compile.
# Nor under `smrdsl`: that is for native kernels, and by it one sees whether any ran.
NAME = "smrdsl_tiles::selective_scan"
BACK = f"{NAME}_backward"
library.define(NAME, "(Tensor v, Tensor s, Tensor a, Tensor b, Tensor c, Tensor h, bool keep)" + _results(3))
library.define(
    BACK,
    "(Tensor v, Tensor s, Tensor a, Tensor b, Tensor c, Tensor before, Tensor dy, Tensor dh)" + _results(6),
)


@library.impl(NAME, "default")
def forward(
    v: Tensor, s: Tensor, a: Tensor, b: Tensor, c: Tensor, h: Tensor, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """y, h after, and the states before the tiles (tiles, B, N, D), or none of them unless `keep`."""
    a, h = a.mT.contiguous(), h.mT
    y, after = torch.empty_like(v), torch.empty_like(h, memory_format=torch.contiguous_format)
    before = h.new_empty(tile_count(v.shape[1]) if keep else 0, *h.shape)
    for rows in blocks(v.shape[0], a.numel()):
        state = h[rows]
        for k, times in enumerate(tiles(v.shape[1])):
            if keep:
                before[k, rows] = state
            at = rows, times
            _, states = run(v[at], s[at], a, b[at], state)
            y[at] = (c[at].unsqueeze(2) @ states).squeeze(2)
            state = states[:, -1]
        after[rows] = state
    return y, after.mT.contiguous(), before


@library.register_fake(NAME)
def _(v: Tensor, s: Tensor, a: Tensor, b: Tensor, c: Tensor, h: Tensor, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
    shape = (tile_count(v.shape[1]) if keep else 0, h.shape[0], h.shape[2], h.shape[1])
    return torch.empty_like(v), torch.empty_like(h, memory_format=torch.contiguous_format), h.new_empty(shape)


@library.impl(BACK, "default")
def backward(
    v: Tensor, s: Tensor, a: Tensor, b: Tensor, c: Tensor, before: Tensor, dy: Tensor, dh: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The gradients of v, s, a, b, c and the first state, for those of y and the last state."""
    a = a.mT.contiguous()
    dv, ds, db, dc = (torch.empty_like(x) for x in (v, s, b, c))
    da, dh = torch.zeros_like(a), dh.mT.clone(memory_format=torch.contiguous_format)
    for rows in blocks(v.shape[0], a.numel()):
        # What the later times leave at the last state of a tile.
        later = dh[rows]
        for k, times in reversed(list(enumerate(tiles(v.shape[1])))):
            at, first = (rows, times), before[k, rows]
            decays, states = run(v[at], s[at], a, b[at], first)
            g = run_back(decays, c[at], dy[at], later)
            later = decays[:, 0] * g[:, 0]
            dv[at] = (b[at].unsqueeze(2) @ g).squeeze(2)
            db[at] = (v[at].unsqueeze(2) @ g.mT).squeeze(2)
            dc[at] = (dy[at].unsqueeze(2) @ states.mT).squeeze(2)
            q = decays.mul_(g)
            q[:, 1:].mul_(states[:, :-1])
            q[:, 0].mul_(first)
            ds[at] = torch.mul(q, a, out=g).sum(2)
            da += q.mul_(s[at].unsqueeze(2)).sum((0, 1))
        dh[rows] = later
    return dv, ds, da.mT.contiguous(), db, dc, dh.mT.contiguous()


@library.register_fake(BACK)
def _(
    v: Tensor, s: Tensor, a: Tensor, b: Tensor, c: Tensor, before: Tensor, dy: Tensor, dh: Tensor
) -> tuple[Tensor, ...]:
    dv, ds, db, dc = (torch.empty_like(x) for x in (v, s, b, c))
    da, dh = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (a, dh))
    return dv, ds, da, db, dc, dh


def _save(ctx, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:5], output[2])
    ctx.mark_non_differentiable(output[2])


def _gradients(ctx, dy: Tensor, dh: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    with in_full(dy):  # `backward` may be called inside of autocast
        return (*torch.ops.smrdsl_tiles.selective_scan_backward(*ctx.saved_tensors, dy, dh), None)


def _second(ctx, *_: Tensor) -> None:
    raise RuntimeError("the scan of a selective core has no second derivative; `execute ... as recurrent` gives one")


library.register_autograd(NAME, _gradients, setup_context=_save)
library.register_autograd(BACK, _second)


# --- one tile


def run(v: Tensor, s: Tensor, a: Tensor, b: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """exp(s_t A) and h_t, each (B, T, N, D), from v and s (B, T, D), a (N, D), b (B, T, N) and h (B, N, D) before."""
    decays = (s.unsqueeze(2) * a).exp_()
    states = v.unsqueeze(2) * b.unsqueeze(3)
    for decay, new in zip(decays.unbind(1), states.unbind(1), strict=True):
        h = new.addcmul_(decay, h)
    return decays, states


def run_back(decays: Tensor, c: Tensor, dy: Tensor, later: Tensor) -> Tensor:
    """The gradients of h_t (B, T, N, D); `later` (B, N, D) is what the times after the tile add to that of the last."""
    g = c.unsqueeze(3) * dy.unsqueeze(2)
    every = g.unbind(1)
    every[-1].add_(later)
    for t in range(len(every) - 2, -1, -1):
        every[t].addcmul_(decays[:, t + 1], every[t + 1])
    return g


def blocks(batch: int, elements: int) -> Iterator[slice]:
    """Sequences that are worked on at once, of which each time has so many elements."""
    size = max(1, TILE // (TIMES * elements))
    return (slice(start, min(start + size, batch)) for start in range(0, batch, size))


def tiles(length: int) -> Iterator[slice]:
    return (slice(start, min(start + TIMES, length)) for start in range(0, length, TIMES))


def tile_count(length: int) -> int:
    return (length + TIMES - 1) // TIMES
