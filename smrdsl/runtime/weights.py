"""Weights: safetensors files, whose header is held against the model before anything is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from smrdsl.core.errors import did_you_mean
from smrdsl.runtime.errors import WeightsError

Shapes = Mapping[str, tuple[int, ...]]
FILE = "weights.safetensors"
"""What the weights are called in a package."""
TOLD = 8
"""Mistakes that are told one by one."""


def write_weights(module: nn.Module, file: Path, metadata: Mapping[str, str]) -> None:
    """Write the parameters and buffers of a module as a safetensors file; equal ones give equal bytes."""
    tensors: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, tensor in module.state_dict().items():
        if tensor.is_meta:
            raise WeightsError(f"E0901: {name} is on the device meta, where it has no values to save")
        kept = tensor.detach().cpu().contiguous()
        if kept.untyped_storage().data_ptr() in places:  # the format has no tensors that share memory
            kept = kept.clone()
        places.add(kept.untyped_storage().data_ptr())
        tensors[name] = kept
    data = save(tensors, dict(metadata))
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the library's own has the metadata in a random order
    with file.open("wb") as out:
        out.write(len(header).to_bytes(8, "little") + header)
        out.write(memoryview(data)[start:])


def shapes_of(module: nn.Module) -> Shapes:
    """The shapes of the parameters and buffers of a module."""
    return {name: tuple(t.shape) for name, t in module.state_dict().items()}


def read_shapes(file: str | os.PathLike[str]) -> Shapes:
    """The shapes of the tensors in a file, from its header. Raises `WeightsError`."""
    with _open(file) as opened:
        return {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}


def compare(wanted: Shapes, found: Shapes, file: str | os.PathLike[str]) -> None:
    """Raise `WeightsError` unless both have the same names and shapes."""
    missing, odd = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    problems = [f"{key} {wanted[key]} is missing{did_you_mean(key, odd)}" for key in missing]
    problems += [f"{key} {found[key]} belongs to nothing in the model" for key in odd]
    for key in wanted.keys() & found.keys():
        if wanted[key] != found[key]:
            problems.append(f"{key}: wanted {wanted[key]}, found {found[key]}")
    if problems:
        shown = "\n  ".join(sorted(problems)[:TOLD])
        more = f"\n  and {len(problems) - TOLD} more" if len(problems) > TOLD else ""
        raise WeightsError(f"E0901: {file} does not fit the model:\n  {shown}{more}")


def load_into(module: nn.Module, file: str | os.PathLike[str]) -> None:
    """Give a module the weights of a file or package, once names and shapes are known to fit.

    The module is then float64 if all of them are, else float32: half precision is for `torch.autocast`.
    """
    wanted = shapes_of(module)
    compare(wanted, read_shapes(file), file)
    with _open(file) as opened:
        tensors: dict[str, Tensor] = {key: opened.get_tensor(key) for key in wanted}
    own = module.state_dict()
    for key, tensor in tensors.items():
        if tensor.is_floating_point() != own[key].is_floating_point():
            raise WeightsError(f"E0901: {file} does not fit the model:\n  {key} holds {tensor.dtype}")
    kinds = {t.dtype for t in tensors.values() if t.is_floating_point()}
    module.to(torch.float64 if kinds == {torch.float64} else torch.float32)
    module.load_state_dict(tensors)


def _open(file: str | os.PathLike[str]):
    path = Path(file)
    if path.is_dir():
        path = path / FILE
    if not path.is_file():
        raise WeightsError(f"E0901: {path} is no file" if path.exists() else f"E0901: {path} does not exist")
    try:
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"E0901: {path} is no safetensors file, or cut short: {error}") from None
