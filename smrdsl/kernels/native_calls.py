"""How native kernels are called: whether there are any, and tensors as the addresses of their numbers.

The library is loaded here, after torch, so that both share one OpenMP. Its kernels are operators of torch: autograd and
torch.compile see through them. Where torch has to see every operation, they do not run: an exported graph is for places
without smrdsl, and torch.func and forward-mode derivatives differentiate in ways of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_int64, c_void_p
from typing import cast

import torch
from torch import Tensor
from torch.autograd import forward_ad

from smrdsl import native
from smrdsl.kernels import triton_calls
from smrdsl.kernels.any_length import known
from smrdsl.native import Library

LIBRARY = native.library()
THERE = LIBRARY is not None
LONGEST_LOOP = 64
PLACES = ("cpu", "cuda")
"""The devices of the operators; `kernel` says what runs on each."""
SECOND = "native kernels have no second derivatives: choose another strategy, `layer.strategy = 'scan'`"


def fits(u: Tensor, x: Tensor | None = None, *, gpu: bool = False) -> bool:
    """Whether native kernels may run on a stream u (B, L, ...) after a state x; `gpu`: Triton has them too."""
    known_shape = known(u.shape[0]) and known(u.shape[1])
    ordinary = u.dtype is torch.float32 and u.device.type == "cpu" and THERE
    there = ordinary or (gpu and triton_calls.can_run(u))
    return there and known_shape and (x is None or x.dtype is u.dtype) and not seen_through()


def loops(u: Tensor) -> bool:
    """Whether `recurrent` may be a loop of torch on a stream u (B, L, ...), where no native kernel runs.

    Not in a graph, nor on any device but a CPU, nor for a long stream in another precision than that for which a plan
    counts on native kernels: the loop would be much worse than any other strategy.
    """
    if u.shape[1] == 1:
        return True
    counted_on = THERE and u.dtype is not torch.float32 and u.shape[1] > LONGEST_LOOP
    return u.device.type == "cpu" and not seen_through() and not counted_on


def seen_through() -> bool:
    """Whether torch has to see every operation."""
    if torch.compiler.is_compiling():
        return torch.compiler.is_exporting()
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def kernel(name: str, sizes: int, arrays: int, library: Library | None = LIBRARY) -> Callable[..., None]:
    """A kernel by its name: a function of so many whole numbers, after that of threads, and of so many tensors or None.

    Tensors are float32, and compact unless the kernel is told otherwise. Raises MemoryError.
    """
    function = missing if library is None else library.kernel(name, [c_int64] * (sizes + 1) + [c_void_p] * arrays)

    def call(*arguments: int | Tensor | None) -> None:
        on = cast(Tensor, arguments[sizes]).device
        if on.type in triton_calls.DEVICES:
            return triton_calls.launch(name, on, *arguments)
        plain = (address(x) if isinstance(x, Tensor) else x for x in arguments)
        if function(torch.get_num_threads(), *plain):
            raise MemoryError(f"no memory is left for {name}")

    return call


def address(x: Tensor) -> int:
    assert x.dtype is torch.float32, "kernels read float32"
    return x.data_ptr()


def expect(x: Tensor | None, *shape: int) -> None:
    """A kernel trusts the shapes that it is told. Raises ValueError."""
    if x is not None and x.shape != shape:
        raise ValueError(f"a tensor of shape {tuple(x.shape)} stands where {shape} belongs")


def compact(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.contiguous()


def missing(*arguments: object) -> int:
    raise AssertionError("there are no native kernels")
