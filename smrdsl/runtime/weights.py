"""Weights: safetensors files, whose header is held against the model before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from smrdsl.core.errors import did_you_mean
from smrdsl.runtime.errors import WeightsError


def weights_bytes(module: nn.Module, metadata: Mapping[str, str]) -> bytes:
    """The parameters and buffers of a module as the bytes of a safetensors file."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in module.state_dict().items()}
    return save(tensors, dict(metadata))


def read_shapes(file: str | os.PathLike[str]) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors in a file, from its header. Raises `WeightsError`."""
    with _open(file) as opened:
        return {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118


def compare(
    wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], file: str | os.PathLike[str]
) -> None:
    """Raise `WeightsError` unless both have the same names and shapes."""
    problems = []
    for key in wanted.keys() - found.keys():
        problems.append(f"{key} {wanted[key]} is missing{did_you_mean(key, found.keys() - wanted.keys())}")
    for key in found.keys() - wanted.keys():
        problems.append(f"{key} {found[key]} belongs to nothing in the model")
    for key in wanted.keys() & found.keys():
        if wanted[key] != found[key]:
            problems.append(f"{key}: wanted {wanted[key]}, found {found[key]}")
    if problems:
        shown = "\n  ".join(sorted(problems)[:8])
        more = f"\n  and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise WeightsError(f"E0901: {file} does not fit the model:\n  {shown}{more}")


def load_into(module: nn.Module, file: str | os.PathLike[str]) -> None:
    """Give a module the weights of a file, in the file's dtype, once names and shapes are known to fit."""
    wanted = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    compare(wanted, read_shapes(file), file)
    tensors: dict[str, Tensor] = {}
    with _open(file) as opened:
        for key in wanted:
            tensors[key] = opened.get_tensor(key)
    kinds = {t.dtype for t in tensors.values() if t.is_floating_point()}
    if len(kinds) == 1:
        module.to(kinds.pop())
    module.load_state_dict(tensors)


def _open(file: str | os.PathLike[str]):  # noqa: ANN202
    path = Path(file)
    if not path.is_file():
        raise WeightsError(f"E0901: {path} is no file" if path.exists() else f"E0901: {path} does not exist")
    try:
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"E0901: {path} is no safetensors file, or cut short: {error}") from None
