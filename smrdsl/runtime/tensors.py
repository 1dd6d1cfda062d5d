"""Tensors: the files that weights lie in, opened as data. Names and shapes are known before a tensor is read.

A file is safetensors, or what torch.save writes (`.bin`, `.pt`, `.pth`), of which only tensors are read: a file that
holds code is refused, not run. A folder is a package of ours, or what Hugging Face and mamba_ssm write: one file, or
several with an index that says which tensor lies where.
"""

from __future__ import annotations

import os
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from smrdsl.checkpoints.config import read_json
from smrdsl.core.errors import SmrError
from smrdsl.runtime.errors import WeightsError

FILE = "weights.safetensors"
"""What the weights are called in a package."""
FOLDER = (
    FILE,
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""What a folder may hold; the first that is there counts."""
PICKLED = (".bin", ".pt", ".pth", ".ckpt")
LARGEST_INDEX = 64 << 20
"""Bytes that an index may have."""

KINDS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""What safetensors calls the numbers that weights are."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Tensors:
    """Opened weights: the shape of each tensor and the kind of its numbers, and a function that reads one."""

    place: Path
    shapes: Shapes
    kinds: Mapping[str, str]
    read: Callable[[str], Tensor]


def open_tensors(place: str | os.PathLike[str]) -> Tensors:
    """Open a file, or what a folder holds. Raises `WeightsError`."""
    path = Path(place)
    if path.is_dir():
        path = _in_folder(path)
    if path.name.endswith(".index.json"):
        return _open_sharded(path)
    if not path.is_file():
        raise WeightsError(f"E0901: {path} is no file" if path.exists() else f"E0901: {path} does not exist")
    return _open_pickled(path) if path.suffix in PICKLED else _open_safetensors(path)


def _in_folder(folder: Path) -> Path:
    found = next((folder / name for name in FOLDER if (folder / name).is_file()), None)
    if found is None:
        others = ", ".join(FOLDER[1:])
        raise WeightsError(f"E0901: {folder / FILE} does not exist, and there is none of {others} either")
    return found


def _open_safetensors(path: Path) -> Tensors:
    try:
        opened: Any = safe_open(path, "pt")
        headers = {key: opened.get_slice(key) for key in opened.keys()}
        shapes = {key: tuple(header.get_shape()) for key, header in headers.items()}
        kinds = {key: KINDS.get(kind := str(header.get_dtype()), kind) for key, header in headers.items()}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"E0901: {path} is no safetensors file, or cut short: {error}") from None
    return Tensors(path, shapes, kinds, opened.get_tensor)


def _open_pickled(path: Path) -> Tensors:
    """The tensors of a file of torch.save; they stay on the disk until they are read, where its format allows."""
    held = _unpickle(path)
    for name in ("state_dict", "model"):  # what trainers put around it
        if isinstance(held, dict) and isinstance(held.get(name), dict):
            held = held[name]
    if not isinstance(held, dict):
        raise WeightsError(f"E0901: {path} holds a {type(held).__name__}, not tensors by name")
    for key, value in held.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise WeightsError(f"E0901: {path} holds a {type(value).__name__} as {key!r}, where a tensor is wanted")
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise WeightsError(f"E0901: {path} holds {key} as a tensor of another kind: {value.layout}, {value.device}")
    shapes = {key: tuple(tensor.shape) for key, tensor in held.items()}
    kinds = {key: str(tensor.dtype).removeprefix("torch.") for key, tensor in held.items()}
    return Tensors(path, shapes, kinds, held.__getitem__)


def _unpickle(path: Path) -> Any:
    """What torch.load gives, which keeps to tensors, numbers, texts and their containers."""
    load = partial(torch.load, path, map_location="cpu", weights_only=True)
    try:
        with warnings.catch_warnings(action="ignore"):  # of protocols that it may not know in full
            try:
                return load(mmap=True)
            except RuntimeError as error:
                if "mmap" not in str(error):
                    raise
                return load()  # as torch wrote them before 1.6
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"`{named[1]}`" if named else "something"
        message = f"refers to {what}, which is no tensor; a file with code in it is not read"
        raise WeightsError(f"E0901: {path} {message}") from None
    except Exception as error:  # there is no way in which a broken file cannot fail
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise WeightsError(f"E0901: {path} is no file of torch.save, or cut short: {reason}") from None


# --- several files


def _open_sharded(index: Path) -> Tensors:
    """The files that an index names, each of which must lie beside it and hold just what the index says."""
    homes = _weight_map(index)
    files: dict[str, Tensors] = {}
    for name in sorted(set(homes.values())):
        shard = index.parent / name
        if not shard.is_file():
            raise WeightsError(f"E0901: {index} names {name}, and {shard} does not exist")
        files[name] = open_tensors(shard)
    for name, opened in files.items():
        for key in opened.shapes:
            if homes.get(key) != name:
                other = f"has in {homes[key]}" if key in homes else "does not name"
                raise WeightsError(f"E0901: {opened.place} holds {key}, which {index.name} {other}")
    for key, name in homes.items():
        if key not in files[name].shapes:
            raise WeightsError(f"E0901: {files[name].place} lacks {key}, which {index.name} has there")
    shapes = {key: files[name].shapes[key] for key, name in homes.items()}
    kinds = {key: files[name].kinds[key] for key, name in homes.items()}
    return Tensors(index, shapes, kinds, lambda key: files[homes[key]].read(key))


def _weight_map(index: Path) -> dict[str, str]:
    """Key -> name of its file. A name leads nowhere else than to the folder of the index."""
    try:
        homes = read_json(index, LARGEST_INDEX).get("weight_map")
    except SmrError as error:
        raise WeightsError(f"E0901: {error}") from None
    if not isinstance(homes, dict) or not all(isinstance(name, str) for name in homes.values()):
        raise WeightsError(f"E0901: {index} has no `weight_map` of tensors to files")
    for key, name in homes.items():
        odd = name != os.path.basename(name) or name in ("", ".", "..") or "\\" in name or "\0" in name
        if odd or name.endswith(".index.json"):
            raise WeightsError(f"E0901: {index} has {key} in {name!r}, which is no file in its folder")
    return homes
