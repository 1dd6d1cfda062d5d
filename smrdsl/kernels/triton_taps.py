"""A short causal convolution of each channel by itself, and a gate or activation of it, by Triton: `native_taps.py`.

A program holds some times of some channels and reads them once for every tap: they are in a cache by then. On the way
back, `slope` leaves the gradients of what the gate sees and sums for taps and bias, `turn` the gradients of the inputs.
"""

from __future__ import annotations

# pyright: basic, reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false, reportAssignmentType=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportReturnType=false, reportGeneralTypeIssues=false
import torch
import triton
import triton.language as tl
from torch import Tensor

from smrdsl.kernels import triton_common
from smrdsl.kernels.triton_common import count, sigmoid, tangent

TIMES = 32
"""Times that one program works on."""
NONE, SIGMOID2, TANH1, SIGMOID, TANH, SILU, IDENTITY, ACT_SILU = map(tl.constexpr, range(8))
"""Gates by their numbers, and behind them what stands instead of a gate."""


def forward(gate: int, batch: int, length: int, channels: int, taps: int, *tensors: Tensor | None) -> None:
    """As `taps_forward` of `native_taps`."""
    x = tensors[0]
    assert x is not None
    if x.numel():
        answer[grid(batch, length, channels)](*tensors, length, channels, **known(gate, taps))


def backward(gate: int, batch: int, length: int, channels: int, taps: int, *tensors: Tensor | None) -> None:
    """As `taps_backward` of `native_taps`."""
    x, before, w, bias, dy, dx, dbefore, dw, dbias = tensors
    assert x is not None
    assert dw is not None
    if not x.numel():
        for sums in (dbefore, dw, dbias):
            if sums is not None:
                sums.zero_()
        return
    ways = grid(batch, length, channels)
    dp = torch.empty_like(x, dtype=torch.float32)
    parts = dp.new_empty(taps + 1, ways[0], channels)
    slope[ways](x, before, w, bias, dy, dp, parts, length, channels, **known(gate, taps))
    turn[grid(batch, length + taps - 1, channels)](
        x, before, w, bias, dy, dp, dx, dbefore, length, channels, **known(gate, taps)
    )
    sums = parts.sum(1)
    dw.copy_(sums[:taps].mT)
    if dbias is not None:
        dbias.copy_(sums[taps])


def grid(batch: int, length: int, channels: int) -> tuple[int, int]:
    return batch * count(length, TIMES), count(channels, triton_common.WIDTH)


def known(gate: int, taps: int) -> dict[str, int]:
    return {"GATE": gate, "TAPS": taps, "TIMES": TIMES, "WIDTH": triton_common.WIDTH, "num_warps": 4}


@triton.jit
def indices(length, channels, past, TIMES: tl.constexpr, WIDTH: tl.constexpr):
    """Of a program, its sequence, times from -past on (TIMES, 1), channels (1, WIDTH), and which there are."""
    blocks = tl.cdiv(length + past, TIMES)
    own = tl.program_id(0).to(tl.int64)
    t = (own % blocks * TIMES + tl.arange(0, TIMES) - past)[:, None]
    h = (tl.program_id(1) * WIDTH + tl.arange(0, WIDTH))[None, :]
    return own // blocks, t, h, (t < length) & (h < channels)


@triton.jit
def inputs(x, before, sequence, t, h, length, channels, TAPS: tl.constexpr):
    """Those of times, also before the first."""
    here = (t < length) & (h < channels)
    found = tl.load(x + (sequence * length + t) * channels + h, mask=here & (t >= 0), other=0.0).to(tl.float32)
    if before is not None:
        past: tl.constexpr = TAPS - 1
        early = before + (sequence * past + t + past) * channels + h
        found += tl.load(early, mask=here & (t < 0) & (t >= -past), other=0.0).to(tl.float32)
    return found


@triton.jit
def response(x, before, taps, bias, sequence, t, h, length, channels, TAPS: tl.constexpr):
    """p of times."""
    there = h < channels
    p = tl.zeros(t.shape, tl.float32) + tl.zeros(h.shape, tl.float32)
    if bias is not None:
        p += tl.load(bias + h, mask=there, other=0.0).to(tl.float32)
    for k in tl.static_range(TAPS):
        w = tl.load(taps + h * TAPS + k, mask=there, other=0.0).to(tl.float32)
        p += w * inputs(x, before, sequence, t - (TAPS - 1) + k, h, length, channels, TAPS)
    return p


@triton.jit
def opened(p, GATE: tl.constexpr):
    """The gate's value, and its slope. 1 + tanh p is 2 sigmoid 2 p, which does not lose what a sum would."""
    if GATE == SIGMOID or GATE == SIGMOID2 or GATE == TANH1:
        inside: tl.constexpr = 2.0 if GATE == TANH1 else 1.0
        outside: tl.constexpr = 1.0 if GATE == SIGMOID else 2.0
        value, slope = sigmoid(inside * p)
        value, slope = outside * value, inside * outside * slope
    elif GATE == TANH:
        value, slope = tangent(p)
    elif GATE == SILU or GATE == ACT_SILU:
        part, slope = sigmoid(p)
        value, slope = p * part, part + p * slope
    else:
        value, slope = p, p * 0.0 + 1.0
    return value, slope


@triton.jit
def answer(
    x, before, taps, bias, y, length, channels,
    GATE: tl.constexpr, TAPS: tl.constexpr, TIMES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    sequence, t, h, there = indices(length, channels, 0, TIMES, WIDTH)
    p = response(x, before, taps, bias, sequence, t, h, length, channels, TAPS)
    if GATE != NONE:
        p, _ = opened(p, GATE)
    if GATE != NONE and GATE <= IDENTITY:
        p *= inputs(x, before, sequence, t, h, length, channels, TAPS)
    tl.store(y + (sequence * length + t) * channels + h, p, mask=there)


@triton.jit
def slope(
    x, before, taps, bias, dy, dp, parts, length, channels,
    GATE: tl.constexpr, TAPS: tl.constexpr, TIMES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """The gradients of p, and what these times add to those of taps and bias."""
    sequence, t, h, there = indices(length, channels, 0, TIMES, WIDTH)
    at = (sequence * length + t) * channels + h
    g = tl.load(dy + at, mask=there, other=0.0).to(tl.float32)
    if GATE != NONE:
        p = response(x, before, taps, bias, sequence, t, h, length, channels, TAPS)
        _, steep = opened(p, GATE)
        g = tl.where(there, g * steep, 0.0)
    if GATE != NONE and GATE <= IDENTITY:
        g *= inputs(x, before, sequence, t, h, length, channels, TAPS)
    tl.store(dp + at, g, mask=there)
    own, step = tl.program_id(0).to(tl.int64) * channels + h, tl.num_programs(0).to(tl.int64) * channels
    for k in tl.static_range(TAPS):
        seen = inputs(x, before, sequence, t - (TAPS - 1) + k, h, length, channels, TAPS)
        tl.store(parts + k * step + own, tl.sum(g * seen, 0)[None, :], mask=h < channels)
    tl.store(parts + TAPS * step + own, tl.sum(g, 0)[None, :], mask=h < channels)


@triton.jit
def turn(
    x, before, taps, bias, dy, dp, dx, dbefore, length, channels,
    GATE: tl.constexpr, TAPS: tl.constexpr, TIMES: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """The gradients of the inputs, also of those before the first."""
    past: tl.constexpr = TAPS - 1
    sequence, t, h, there = indices(length, channels, past, TIMES, WIDTH)
    at, now = (sequence * length + t) * channels + h, there & (t >= 0)
    found = tl.zeros(t.shape, tl.float32) + tl.zeros(h.shape, tl.float32)
    if GATE != NONE and GATE <= IDENTITY:
        value, _ = opened(response(x, before, taps, bias, sequence, t, h, length, channels, TAPS), GATE)
        found += tl.where(now, tl.load(dy + at, mask=now, other=0.0).to(tl.float32) * value, 0.0)
    for k in tl.static_range(TAPS):
        ahead = past - k
        w = tl.load(taps + h * TAPS + k, mask=h < channels, other=0.0).to(tl.float32)
        seen = (t + ahead >= 0) & (t + ahead < length) & (h < channels)
        found += w * tl.load(dp + at + ahead * channels, mask=seen, other=0.0)
    tl.store(dx + at, found, mask=now)
    if dbefore is not None:
        early = dbefore + (sequence * past + t + past) * channels + h
        tl.store(early, found, mask=there & (t < 0))
