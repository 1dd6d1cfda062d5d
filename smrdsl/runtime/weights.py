"""Weights: what a model learned, as files, whose header is held against the model before anything is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from smrdsl.core.errors import did_you_mean
from smrdsl.runtime.errors import WeightsError
from smrdsl.runtime.tensors import FILE as FILE
from smrdsl.runtime.tensors import Shapes as Shapes
from smrdsl.runtime.tensors import Tensors, open_tensors

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
    return open_tensors(file).shapes


def compare(wanted: Shapes, found: Shapes, file: str | os.PathLike[str]) -> None:
    """Raise `WeightsError` unless both have the same names and shapes."""
    refuse(differences(wanted, found), file)


def differences(wanted: Shapes, found: Shapes) -> list[str]:
    """What is missing, left over, or of another shape."""
    missing, odd = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    problems = [f"{key} {wanted[key]} is missing{did_you_mean(key, odd)}" for key in missing]
    problems += [f"{key} {found[key]} belongs to nothing in the model" for key in odd]
    for key in wanted.keys() & found.keys():
        if wanted[key] != found[key]:
            problems.append(f"{key}: wanted {wanted[key]}, found {found[key]}")
    return sorted(problems)


def refuse(problems: list[str], file: str | os.PathLike[str]) -> None:
    """Raise `WeightsError` if there are problems, with the first of them."""
    if problems:
        shown = "\n  ".join(problems[:TOLD])
        more = f"\n  and {len(problems) - TOLD} more" if len(problems) > TOLD else ""
        raise WeightsError(f"E0901: {file} does not fit the model:\n  {shown}{more}")


def load_into(module: nn.Module, file: str | os.PathLike[str] | Tensors) -> None:
    """Give a module the weights of a file or package, once names and shapes are known to fit.

    The module is then float64 if all of them are, else float32: half precision is for `torch.autocast`.
    """
    opened = file if isinstance(file, Tensors) else open_tensors(file)
    wanted = shapes_of(module)
    compare(wanted, opened.shapes, opened.place)
    tensors: dict[str, Tensor] = {key: opened.read(key) for key in wanted}
    own = module.state_dict()
    odd = [key for key, tensor in tensors.items() if tensor.is_floating_point() != own[key].is_floating_point()]
    refuse([f"{key} holds {tensors[key].dtype}" for key in odd], opened.place)
    kinds = {t.dtype for t in tensors.values() if t.is_floating_point()}
    module.to(torch.float64 if kinds == {torch.float64} else torch.float32)
    module.load_state_dict(tensors)
