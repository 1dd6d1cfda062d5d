"""Running out of memory, told with what would fit, as the plan predicts it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import torch

from smrdsl.core.errors import SmrError
from smrdsl.plan.budget import size
from smrdsl.plan.plan import make_plan
from smrdsl.runtime.model import CompiledModel
from smrdsl.training.settings import Settings

SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "Cannot allocate memory")


@contextlib.contextmanager
def out_of_memory(model: CompiledModel, settings: Settings) -> Iterator[None]:
    """Tell it as an `SmrError` that says what would do."""
    try:
        yield
    except Exception as error:
        cause = error.__cause__ if isinstance(error, SmrError) else error  # the model tells where an operator failed
        if not isinstance(cause, MemoryError | torch.OutOfMemoryError) and not _said(cause):
            raise
        raise SmrError(what_would_fit(model, settings)) from None


def _said(error: BaseException | None) -> bool:
    """Whether torch tells it in words alone, as it does on a CPU."""
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


def what_would_fit(model: CompiledModel, settings: Settings) -> str:
    """The batch that takes half, and the plan that fits this one into half by running parts again."""
    plan, world = model.plan, settings.devices * settings.nodes
    now = plan.conditions
    told = [
        f"out of memory with batches of {now.batch} sequences of {now.length:,} on each device, "
        f"which were predicted to take {size(plan.memory.peak)}"
    ]
    half = now.batch // 2
    if half:
        takes = make_plan(model.graph, replace(now, batch=half)).memory.peak
        told.append(
            f"--batch {half * world} --accumulate {2 * settings.accumulate} takes {size(takes)} for the same updates"
        )
    with contextlib.suppress(SmrError):
        least = make_plan(model.graph, replace(now, memory=plan.memory.peak // 2))
        told.append(f"--memory {size(plan.memory.peak // 2).replace(' ', '')} keeps the batch and runs parts again, "
                    f"{least.time / plan.time - 1:.0%} longer")  # fmt: skip
    if len(told) == 1:
        told.append("shorter sequences (--length) or a smaller model are what is left")
    return "; ".join(told)
