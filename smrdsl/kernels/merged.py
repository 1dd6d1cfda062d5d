"""Several banks of steady systems over one stream whose outputs are added: one bank with the states of all.

By FFT that is one convolution with the sum of their kernels, by a native kernel one bank with as many states as all of
them. Streams are u (B, L, H); there are no gaps, and no padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from smrdsl.kernels.convolution import convolve
from smrdsl.kernels.core import Bank, Gap, block_width, chosen, in_full, in_precision, kernels_of
from smrdsl.kernels.native_bank import NativeBank, native_bank
from smrdsl.kernels.native_calls import fits


def forward(banks: Sequence[Bank], strategy: str, u: Tensor, rate: Gap | None) -> Tensor | None:
    """The sum of their outputs, (B, L, H); None where nothing is gained by running them as one."""
    if 0 in u.shape[:2]:
        return None
    with in_full(u):
        v = in_precision(u)
        if chosen(strategy, v) == "conv":
            return _convolve(banks, v, rate).to(u.dtype)
        whole = _native(banks, v, rate) if strategy == "recurrent" and fits(v) else None
        return None if whole is None else whole.run(v, None)[0].to(u.dtype)


def _convolve(banks: Sequence[Bank], u: Tensor, rate: Gap | None) -> Tensor:
    per_block = zip(*(kernels_of(bank, u, rate) for bank in banks), strict=True)
    summed = [reduce(torch.add, (k for (k,) in ways)) for ways in per_block]
    return torch.cat([convolve(v, k) for v, k in zip(u.split(block_width(u), 2), summed, strict=True)], 2)


def _native(banks: Sequence[Bank], u: Tensor, rate: Gap | None) -> NativeBank | None:
    """One native bank for all, where there is one for each and all are diagonal and of one kind."""
    found = [native_bank(bank.system(rate, u.dtype), from_zero=True) for bank in banks]
    if any(bank is None or bank.left is not None for bank in found):
        return None
    parts = [bank for bank in found if bank is not None]
    kind = parts[0].kind
    if any(bank.kind != kind for bank in parts):
        return None
    skips = [bank.d for bank in parts if bank.d is not None]
    a, c = (_beside([getattr(bank, name) for bank in parts], kind + 1) for name in ("a", "c"))
    return NativeBank(a, None, c, reduce(torch.add, skips) if skips else None, None, None, kind)


def _beside(numbers: Sequence[Tensor], parts: int) -> Tensor:
    """(H, N) each -> (H, all N), the real parts of all before the imaginary ones."""
    return torch.cat([piece for group in zip(*(n.chunk(parts, 1) for n in numbers), strict=True) for piece in group], 1)
