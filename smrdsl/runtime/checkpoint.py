"""Checkpoint: the weights of other libraries into a model, and those of a model out to them.

What belongs where is known in `smrdsl.checkpoints`; here tensors are read, split, joined and written. A checkpoint is
held against the model by keys and shapes, and by its config where it lies in a folder with one, before a tensor is
read. What a spec adds that no checkpoint has (an smr) keeps its initial values.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from smrdsl.checkpoints.config import FILE as CONFIG
from smrdsl.checkpoints.config import read_config
from smrdsl.checkpoints.contract import Entry, Facts, Format
from smrdsl.checkpoints.export import WEIGHTS, describe, is_export, shown
from smrdsl.checkpoints.formats import facts_of_config, format_of_keys
from smrdsl.checkpoints.keys import by_plain_key, written
from smrdsl.checkpoints.stack import read_stack
from smrdsl.checkpoints.trace import Odd
from smrdsl.core.errors import SmrError
from smrdsl.core.write import whole_folder
from smrdsl.graph.graph import Graph
from smrdsl.runtime.errors import WeightsError
from smrdsl.runtime.tensors import KINDS, Tensors, open_tensors
from smrdsl.runtime.weights import differences, load_into, refuse, shapes_of

# --- in


def load_weights(model: nn.Module, graph: Graph, place: str | os.PathLike[str]) -> None:
    """Give a model the weights of a file, a package, or a checkpoint of Hugging Face, mamba_ssm or mambapy.

    Raises `WeightsError` where it is the checkpoint of another model, and the model keeps what it had.
    """
    opened = open_tensors(place)
    if opened.shapes.keys() == shapes_of(model).keys():
        load_into(model, opened)
        return
    config = _config(Path(place))
    format = format_of_keys(opened.shapes.keys())
    if format is None:
        load_into(model, opened)  # which says what does not fit
        return
    try:
        stack = read_stack(graph, format)
        entries = stack.entries()
        ours = stack.facts() if config else None
    except Odd as odd:
        told = f"is a checkpoint of {format.title}, and the model is no stack of such blocks"
        raise WeightsError(f"E0901: {opened.place} {told}:\n  {odd}") from None
    problems = _contradictions(format, ours, config) if ours and config else []
    keys = _found(opened, entries, problems)
    _check_twins(opened, entries, keys)
    _fill(model, opened, entries, keys)


def _found(opened: Tensors, entries: list[Entry], problems: list[str]) -> dict[str, str]:
    """Our name -> the key in the checkpoint, once all of it is known to fit."""
    try:
        keys = by_plain_key(opened.shapes)
    except SmrError as error:
        raise WeightsError(f"E0901: {opened.place}: {error}") from None
    wanted = {e.key: e.shape for e in entries if e.key in keys or e.twin not in keys}
    told = {name: keys.get(name, name) for name in {*wanted, *keys}}
    problems += differences({told[name]: shape for name, shape in wanted.items()}, opened.shapes)
    problems += [f"{key} holds {kind}, not reals" for key, kind in opened.kinds.items() if kind not in KINDS.values()]
    refuse(problems, opened.place)
    return keys


def _config(place: Path) -> tuple[Format, Facts] | None:
    """What the config beside the weights says, None where there is none. A model that is not known is refused."""
    try:
        config = read_config(place) if place.is_dir() else None
        return facts_of_config(config) if config else None
    except SmrError as error:
        raise WeightsError(f"E0901: {error}") from None


def _contradictions(format: Format, ours: Facts, config: tuple[Format, Facts]) -> list[str]:
    """Where a config says otherwise than the model, of all that no shape shows."""
    other, theirs = config
    if other is not format:
        return [f"{CONFIG} is that of {other.title}, and the weights are those of {format.title}"]
    pairs = {name: (ours.block[name], theirs.block[name]) for name in format.unseen}
    if ours.eps is not None:
        pairs["eps of the norms"] = (ours.eps, theirs.eps)
    return [
        f"{name}: the model has {_shown(own)}, {CONFIG} says {_shown(said)}"
        for name, (own, said) in pairs.items()
        if own != said
    ]


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _check_twins(opened: Tensors, entries: list[Entry], keys: Mapping[str, str]) -> None:
    """Where the model has one tensor for two of the checkpoint's, these must be equal."""
    for e in entries:
        if e.twin and not e.parts and e.key in keys:
            if not torch.equal(opened.read(keys[e.key]), opened.read(keys[e.twin])):
                told = f"{keys[e.key]} differs from {keys[e.twin]}, and the model has one tensor for both"
                refuse([f"{told}; leave `tie` out of the spec"], opened.place)


def _fill(model: nn.Module, opened: Tensors, entries: list[Entry], keys: Mapping[str, str]) -> None:
    """Hand the rows of each tensor to the parameters that they are; half precision becomes float32."""
    model.to(torch.float64 if set(opened.kinds.values()) == {"float64"} else torch.float32)
    own = dict(model.named_parameters())
    with torch.no_grad():
        for e in entries:
            if e.parts:
                tensor = opened.read(keys[e.key] if e.key in keys else keys[e.twin or ""])
                rows = tensor.split([own[name].shape[0] for name in e.parts])
                for name, part in zip(e.parts, rows, strict=True):
                    own[name].copy_(part.reshape(own[name].shape))


# --- out


def save_pretrained(model: nn.Module, graph: Graph, folder: str | os.PathLike[str]) -> None:
    """Write config.json and model.safetensors, which `transformers` loads, whole or not at all.

    The folder is new or empty, or was written so before. Raises `SmrError` with the first thing of the model that
    transformers has no place for.
    """
    known = describe(graph)
    own = dict(model.named_parameters())
    tensors = {written(e.key): _joined(e, own) for e in known.entries if e.parts}
    dtype = str(next(iter(tensors.values())).dtype).removeprefix("torch.")
    with whole_folder(Path(folder), is_export) as new:
        (new / CONFIG).write_text(shown(known.config(dtype)), encoding="utf-8")
        try:
            save_file(tensors, new / WEIGHTS, {"format": "pt"})
        except SafetensorError as error:
            raise SmrError(f"cannot write {folder}: {error}") from None
        (new / WEIGHTS).chmod((new / CONFIG).stat().st_mode & 0o777)  # it is made for its owner alone


def _joined(e: Entry, own: Mapping[str, Tensor]) -> Tensor:
    """The rows of several parameters as the one tensor that they are in a checkpoint."""
    for name in e.parts:
        if own[name].is_meta:
            raise WeightsError(f"E0901: {name} is on the device meta, where it has no values to save")
    rows = [own[name].detach().cpu() for name in e.parts]
    return torch.cat([r.reshape(r.shape[0], *e.shape[1:]) for r in rows])
