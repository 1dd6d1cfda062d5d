"""A state-space core: a bank of continuous systems, one per channel, sampled with a step of its own.

What a layer such as S4D hands over is a `Core`; how it runs is told by the name of a strategy:

    conv        by FFT
    scan        in chunks
    recurrent   one time after the other, by a native kernel where there is one

All of them give the same numbers. What a strategy cannot do, an exact one does instead. With gaps A-bar depends on
time: `conv` gives way to the recurrence, and so does `scan` where A-bar is not diagonal. A length that is a symbol, in
a graph exported for any length, allows no loop over time: there `conv` always runs. It also runs instead of `recurrent`
where no native kernel can and a loop would be much worse (`native_calls.py`): in a graph, on any device but a CPU, and
over a long stream in float64.

A gap is the time before a sample in steps, 1 as trained; a rate is the gap of all samples. Under steps=decay the state
decays for that long, but the sample weighs what it always weighs. A sample is held over the gap before it, and the
output at a time sees what was held up to it and, where the core runs both ways, what is held from it on: so each
sample has its own gap in both directions.

In a padded batch, what stands behind the end of a sequence counts as nothing; only a core that runs both ways minds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from smrdsl.kernels import any_length, native_gapped, step_bank, system
from smrdsl.kernels.any_length import known
from smrdsl.kernels.convolution import convolve, convolve_around, convolve_both
from smrdsl.kernels.fixed import Fixed
from smrdsl.kernels.lengths import put_out
from smrdsl.kernels.memo import Kept, remember
from smrdsl.kernels.native_bank import native_bank
from smrdsl.kernels.native_calls import fits, loops
from smrdsl.kernels.powers import Powers
from smrdsl.kernels.recurrence import recur
from smrdsl.kernels.scan import Discretise, scan, scan_varying
from smrdsl.kernels.system import System
from smrdsl.kernels.transition import Pair, Transition

Gap = float | Tensor
BLOCK = 1 << 19
"""Elements of the inputs that are worked on at once on a CPU: what fits in its cache."""
NARROWEST = 32
"""Channels of the narrowest block."""


@dataclass(frozen=True)
class Core:
    """`rule` takes the `parts` Lambda, (P,) B and a step (H, m, 1) to A-bar and B-bar (H, m, N); see `discretise.py`.

    step (H, 1, 1) is that of each channel; c (H, 1, N) reads the state, and `back` that of the other direction where
    there is one; the skip d (H) may be None. All come in wide precision. `kept` holds what was last sampled.
    """

    rule: Callable[..., tuple[Transition, Tensor]]
    parts: tuple[Pair, ...]
    step: Tensor
    c: Tensor
    back: Tensor | None
    d: Tensor | None
    decay: bool
    kept: Kept | None

    counts_present_twice: ClassVar[bool] = False
    """S4's convention: the other direction leaves out the present sample."""

    @property
    def diagonal(self) -> bool:
        return len(self.parts) == 2

    @property
    def other(self) -> Core | None:
        """The other direction by itself."""
        return None if self.back is None else replace(self, c=self.back, back=None, d=None, kept=None)

    def to(self, dtype: torch.dtype) -> Core:
        """The same in another precision."""
        return Core(
            self.rule,
            tuple((re.to(dtype), im.to(dtype)) for re, im in self.parts),
            self.step.to(dtype),
            self.c.to(dtype),
            None if self.back is None else self.back.to(dtype),
            None if self.d is None else self.d.to(dtype),
            self.decay,
            None,
        )

    def sampled(self, gap: Gap) -> tuple[Transition, Tensor]:
        """A-bar and B-bar, by sequence for gaps (B)."""
        if isinstance(gap, Tensor) and gap.dim() == 1:
            gap = gap[:, None]
        a, b = self.rule(*self.parts, self.step * gap)
        return a, self.rule(*self.parts, self.step)[1] if self.decay else b

    def system(self, rate: Gap | None, dtype: torch.dtype) -> System:
        """The system at one rate, sampled in wide precision for streams of `dtype`."""
        a, b = self.sampled(1.0 if rate is None else rate)
        d = None if self.d is None else self.d.to(dtype)
        back = None if self.back is None else self.back.to(dtype)
        return System(Powers(a), b.to(dtype), self.c.to(dtype), d, back)

    def numbers(self, dtype: torch.dtype) -> native_gapped.Numbers:
        """Those that a native kernel samples at gaps itself, made in wide precision."""

        def make() -> native_gapped.Numbers:
            lam, b = self.parts
            numbers = native_gapped.numbers_of(self.rule, lam, b, self.step, self.c, self.d, decay=self.decay)
            return numbers.to(dtype)

        return remember(self.kept, "gapped", (dtype,), make)

    def blocks(self, rate: Gap | None, dtype: torch.dtype, width: int) -> list[tuple[System, ...]]:
        """The systems of all directions, by blocks of `width` channels; directions share their powers."""
        blocks = self.system(rate, dtype).split(width)
        return [(s,) if s.back is None else (s, s.reversed()) for s in blocks]


Bank = Core | Fixed


def forward(
    core: Bank, strategy: str, u: Tensor, rate: Gap | None, dt: Tensor | None, lengths: Tensor | None = None
) -> Tensor:
    """The whole sequence from the zero state: u (B, L, H), dt (B, L) or None, lengths (B) or None -> (B, L, H)."""
    if 0 in u.shape[:2]:
        return u.clone()
    with in_full(u):
        v = in_precision(u)
        if lengths is not None:
            v, dt = put_out(v, dt, lengths)
        if dt is None and chosen(strategy, v, gpu=_on_gpu(core)) == "conv":
            return _convolve(core, v, rate).to(u.dtype)
        y = from_zero(core, strategy, v, rate, dt)
        if core.other is not None:
            later = from_zero(core.other, strategy, v, rate, dt, backwards=True)
            y = y + (later if core.counts_present_twice else F.pad(later[:, 1:], (0, 0, 0, 1)))
        return y.to(u.dtype)


def extend(
    core: Bank, strategy: str, u: Tensor, x: Tensor, rate: Gap | None, dt: Tensor | None
) -> tuple[Tensor, Tensor]:
    """A chunk u (B, L, H) after the state x (B, H, N): the outputs and the state after them."""
    assert core.other is None, "a core that runs both ways has no state"
    if 0 in u.shape[:2]:
        return u.clone(), x.clone()
    with in_full(u):
        y, after = _run(core, strategy, in_precision(u), in_precision(x), rate, dt)
        return y.to(u.dtype), after.to(x.dtype)


def step(core: Bank, u: Tensor, x: Tensor, rate: Gap | None, dt: Tensor | None) -> tuple[Tensor, Tensor]:
    """One sample u (B, H), dt (B) or None, after the state x."""
    y, after = extend(core, "recurrent", u[:, None], x, rate, None if dt is None else dt[:, None])
    return y[:, 0], after


def in_full(u: Tensor) -> AbstractContextManager[object]:
    """No autocast: powers and long sums lose too much in half precision."""
    device = u.device.type
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def in_precision(x: Tensor) -> Tensor:
    """At least float32, for the same reason."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def block_width(u: Tensor) -> int:
    """How many channels of u (B, L, H) are worked on at once."""
    batch, length, channels = u.shape
    if u.device.type != "cpu" or not (known(batch) and known(length)):
        return channels
    return min(channels, max(NARROWEST, BLOCK // (batch * length)))


def chosen(strategy: str, u: Tensor, *, gpu: bool = False) -> str:
    """The strategy for a steady system, or what stands in for it; `gpu`: a GPU has a kernel for it too."""
    if not known(u.shape[1]):
        return "conv"
    return "conv" if strategy == "recurrent" and not (fits(u, gpu=gpu) or loops(u)) else strategy


def _on_gpu(core: Bank) -> bool:
    """Whether there is a kernel of Triton for it: for diagonal systems."""
    return isinstance(core, Fixed) or core.diagonal


def _convolve(core: Bank, u: Tensor, rate: Gap | None) -> Tensor:
    """From the zero state: both directions by one transform, or the one there is."""
    around = convolve_around if core.counts_present_twice else convolve_both
    run = convolve if core.other is None else around
    blocks = zip(u.split(block_width(u), 2), kernels_of(core, u, rate), strict=True)
    return torch.cat([run(v, *own) for v, own in blocks], 2)


def kernels_of(core: Bank, u: Tensor, rate: Gap | None) -> list[tuple[Tensor, ...]]:
    """The kernels of all directions for u (B, L, H), (channels, L), by blocks of `block_width` channels."""
    length, width = u.shape[1], block_width(u)
    kernel = system.kernel if known(length) else any_length.kernel

    def make() -> list[tuple[Tensor, ...]]:
        return [tuple(kernel(s, length) for s in ways) for ways in core.blocks(rate, u.dtype, width)]

    return remember(core.kept, "kernels", (rate, u.dtype, length, width), make)


def _convolve_from(s: System, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """From the state x: the outputs and the state after them."""
    length = u.shape[1]
    rules = system if known(length) else any_length
    y = convolve(u, rules.kernel(s, length)) + rules.response(s, x, length)
    return y, rules.last_state(s, u, x)


def from_zero(
    core: Bank, strategy: str, u: Tensor, rate: Gap | None, dt: Tensor | None, backwards: bool = False
) -> Tensor:
    """The outputs of one direction."""
    if dt is None and strategy == "recurrent":
        found = _run_natively(core, u, None, rate, backwards)
        if found is not None:
            return found[0]
    start = u.new_zeros(u.shape[0], *core.c.shape[::2])
    if backwards:
        return _run(core, strategy, u.flip(1), start, rate, None if dt is None else dt.flip(1))[0].flip(1)
    return _run(core, strategy, u, start, rate, dt)[0]


def _run(core: Bank, strategy: str, u: Tensor, x: Tensor, rate: Gap | None, dt: Tensor | None) -> tuple[Tensor, Tensor]:
    """One direction, from the state x: the outputs and the state after them."""
    if dt is not None:
        assert isinstance(core, Core), "there is no step"
        return _run_varying(core, strategy, u, x, dt.to(u.dtype) * (1.0 if rate is None else rate))
    strategy = chosen(strategy, u, gpu=_on_gpu(core))
    if strategy == "recurrent":
        return _run_natively(core, u, x, rate) or _recur(core, u, x, rate)
    whole = core.system(rate, u.dtype)
    width, run = block_width(u), scan if strategy == "scan" else _convolve_from
    blocks = zip(whole.split(width), u.split(width, 2), x.split(width, 1), strict=True)
    outputs, states = zip(*(run(*block) for block in blocks), strict=True)
    return torch.cat(outputs, 2), torch.cat(states, 1)


def _run_natively(
    core: Bank, u: Tensor, x: Tensor | None, rate: Gap | None, backwards: bool = False
) -> tuple[Tensor, Tensor] | None:
    """From the state x, or only the outputs from the zero state; None where no native kernel is worth it or there."""
    one = u.shape[1] == 1
    alone = one and x is not None and core.kept is not None and step_bank.can_step(u, x)
    if not (alone if one else fits(u, x, gpu=_on_gpu(core))):
        return None
    key = (rate, u.dtype, x is None)
    bank = remember(core.kept, "native", key, lambda: native_bank(core.system(rate, u.dtype), from_zero=x is None))
    if bank is None or x is None or not one:
        return None if bank is None else bank.run(u, x, backwards)
    return step_bank.step(bank, u, x)


def _recur(core: Bank, u: Tensor, x: Tensor, rate: Gap | None) -> tuple[Tensor, Tensor]:
    def make() -> tuple[Transition, Tensor, Tensor, Tensor | None]:
        s = core.system(rate, u.dtype)
        return s.a, s.b, s.c, s.d

    a, b, c, d = remember(core.kept, "step", (rate, u.dtype), make)
    y, after = recur([(a, b)] * u.shape[1], c, u, x)
    return _skip(y, u, d), after


def _run_varying(core: Core, strategy: str, u: Tensor, x: Tensor, gaps: Tensor) -> tuple[Tensor, Tensor]:
    """The same with gaps (B, L); all in the precision of the stream, since a power is never taken."""
    if strategy != "scan" and native_gapped.can_run(core.rule, u, x, gaps):
        return native_gapped.run(u, x, gaps, core.numbers(u.dtype))
    core = core.to(u.dtype)
    if strategy == "scan" and core.diagonal:
        y, after = scan_varying(cast(Discretise, core.sampled), core.c, u, gaps, x)
    else:
        y, after = recur((core.sampled(gap) for gap in gaps.unbind(1)), core.c, u, x)
    return _skip(y, u, core.d), after


def _skip(y: Tensor, u: Tensor, d: Tensor | None) -> Tensor:
    return y if d is None else torch.addcmul(y, u, d)
