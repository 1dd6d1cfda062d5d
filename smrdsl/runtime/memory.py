"""Memory, measured: bytes of tensors at the peak of some work, and bytes that are kept for its backward pass.

Every storage that an operator of torch makes is seen, and seen again when it is freed. What an operator uses inside
itself is not: the work space of an FFT or of a native kernel.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class Live(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive, from those `there` at the start, and their peak."""

    def __init__(self, there: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: set[int] = set()
        for tensor in there:
            self._add(tensor)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        for tensor in tree_iter(found):
            if isinstance(tensor, Tensor):
                self._add(tensor)
        return found

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        name, size = storage._cdata, storage.nbytes()
        if name in self._seen:
            return
        self._seen.add(name)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, name, size).atexit = False

    def _free(self, name: int, size: int) -> None:
        self._seen.discard(name)
        self.now -= size


def peak(work: Callable[[], object], there: Iterable[Tensor] = ()) -> int:
    """Bytes of tensors at the peak of some work, those that were `there` among them."""
    live = Live(there)
    with live:
        found = work()
    del found
    return live.peak


def kept(forward: Callable[[], object], besides: Iterable[Tensor] = ()) -> int:
    """Bytes that a forward pass keeps for the backward pass, besides some tensors, as parameters are."""
    known = {t.untyped_storage()._cdata for t in besides}
    found: dict[int, int] = {}
    held: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            found[storage._cdata] = storage.nbytes()
            held.append(tensor.detach())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward()
    del result
    return sum(found.values())


def training_peak(model: nn.Module, u: Tensor) -> int:
    """Bytes of tensors at the peak of a step of training by AdamW, which changes nothing, on the input u."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0)

    def step() -> None:
        optimiser.zero_grad()
        model(u).square().mean().backward()
        optimiser.step()

    step()  # the optimiser makes its state
    optimiser.zero_grad()
    state = [v for own in optimiser.state.values() for v in own.values() if isinstance(v, Tensor)]
    return peak(step, [*model.parameters(), *model.buffers(), *state, u])
