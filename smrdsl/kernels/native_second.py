"""Gradients of native kernels that are to be derived again: those of the same function of torch's own operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def derivable(
    composed: Callable[..., Tensor | tuple[Tensor, ...]],
    given: Sequence[Tensor | None],
    needed: Sequence[bool],
    grads: Sequence[Tensor],
) -> list[Tensor | None]:
    """For what is given to `composed`, where needed, the gradients for those of its results."""
    results = composed(*given)
    learned = [p for p, needs in zip(given, needed, strict=True) if needs and p is not None]
    made = results if isinstance(results, tuple) else (results,)
    found = iter(torch.autograd.grad(made, learned, list(grads), create_graph=True, allow_unused=True))
    return [next(found) if needs else None for needs in needed]
