"""Decode: a model's step as native programs, with the layers that have no native step in their places between them.

Every layer that can writes its own part (`kernels/step_program.py`); runs of such layers are one native call each, for
most models a single one. Any other layer, and one that a user has put in its place or hung a hook on, runs as it is.
The weights are those of the time at which a `Decoder` is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from smrdsl.graph.graph import Node
from smrdsl.kernels.native_calls import THERE, seen_through
from smrdsl.kernels.step_program import Buffer, Refused, Slot, StepProgram, Stream
from smrdsl.lowering.context import told
from smrdsl.runtime.errors import InputError

if TYPE_CHECKING:
    from smrdsl.runtime.model import CompiledModel


@dataclass(frozen=True)
class Native:
    """A run of instructions, from the first up to the last."""

    first: int
    last: int


@dataclass(frozen=True)
class Layer:
    """A layer that runs as it is."""

    key: str
    node: Node
    layer: Any
    inputs: tuple[str, ...]
    tied: tuple[Tensor, ...]
    state: tuple[str, ...]
    keywords: dict[str, None]


def can_decode(model: CompiledModel) -> bool:
    """Whether there are native kernels, and the model is one for them: plain float32 on a CPU, with a steady clock."""
    if not THERE or model.graph.timed or model.graph.paired:
        return False
    tensors = chain(model.parameters(), model.buffers())
    return all(
        type(p) in (Tensor, nn.Parameter)
        and p.device.type == "cpu"
        and (p.dtype is torch.float32 or not p.is_floating_point())
        for p in tensors
    )


def ordinary() -> bool:
    """Whether native kernels may run now."""
    return not (torch.is_autocast_enabled("cpu") or seen_through())


class Decoder:
    """The step of a model for a batch of one size. It holds a state, which is put in and got out."""

    def __init__(self, model: CompiledModel, batch: int) -> None:
        self.model, self.batch, self.training = model, batch, model.training
        self._program = StepProgram(batch)
        self._slots: dict[str, Slot] = {}
        self._carried: dict[str, Tensor] = {}
        self._owners: list[str] = []  # of each instruction the node
        self._names = [f"{key}.{name}" for key in model.graph.keys for name in model.graph.state(key)]
        self._parts: list[Native | Layer] = []
        self._streams: dict[str, Stream] = {}
        self._entries: dict[str, Stream] = {}
        type_ = model.graph.node(model.graph.input).type
        index = type_.kind == "index"
        self._shape = (batch,) if index else (batch, type_.width)
        self._dtype = torch.int64 if index else torch.float32
        self._write()

    @torch.no_grad()
    def _write(self) -> None:
        g = self.model.graph
        for key, node, inputs in g:
            if key != g.input and not self._write_natively(key, node, inputs):
                self._write_layer(key, node, inputs)
        self._close()
        self._prepare()

    def _prepare(self) -> None:
        """Give out buffers. Where a model is all native, it reads its input and writes its output where they are."""
        g, program = self.model.graph, self._program
        alone = not any(isinstance(part, Layer) for part in self._parts)
        y = self._streams.get(g.output)
        self._direct = alone and y is not None and y.buffer.tensor is None and y.width == y.buffer.width
        if y is not None:
            y.buffer.stays = True
            y.buffer.pitch = y.width if self._direct else y.buffer.pitch
        program.finish()
        if y is not None and self._direct:
            self._width, self._read = y.width, program.places(self._streams[g.input].buffer)
            self._written = program.places(y.buffer)
        self._kept = [] if alone else [slot.kept for slot in self._slots.values() if slot.kept is not None]
        self._spare = [kept.clone() for kept in self._kept]

    def _write_natively(self, key: str, node: Node, inputs: tuple[str, ...]) -> bool:
        """The instructions of a node, if its layer is the one declared and has a native step."""
        g, layer = self.model.graph, self.model.get_submodule(key)
        declared = type(layer) is node.op.load_layer() and not (layer._forward_hooks or layer._forward_pre_hooks)
        if not declared or not hasattr(layer, "write_step"):
            return False
        slots = {
            f"{key}.{name}": Slot(self.batch, kind.shape, kind.index)  # type: ignore[arg-type]
            for name, kind in g.state(key).items()
        }
        streams = tuple(self._stream(i) for i in inputs)
        y = layer.write_step(self._program, streams, tuple(slots.values()), *self._tied(key, node))  # type: ignore[operator]
        if y is None:
            return False
        self._streams[key] = y
        self._slots.update(slots)
        self._owners += [key] * (len(self._program.instructions) - len(self._owners))
        return True

    def _stream(self, key: str) -> Stream:
        """The stream of a node; for one that is made outside, rows for it to be put in."""
        if key in self._streams:
            return self._streams[key]
        type_ = self.model.graph.node(key).type
        index = type_.kind == "index"
        tensor = torch.zeros(self.batch, 1 if index else type_.width, dtype=torch.int64 if index else torch.float32)
        stream = Stream(Buffer.of(tensor), 0, tensor.shape[1])
        self._streams[key] = self._entries[key] = stream
        return stream

    def _write_layer(self, key: str, node: Node, inputs: tuple[str, ...]) -> None:
        self._close()
        for i in inputs:
            if i in self._streams:
                self._streams[i].buffer.stays = True
        g = self.model.graph
        names = tuple(f"{key}.{name}" for name in g.state(key))
        keywords = dict.fromkeys(told(g, key, "step"))
        layer = self.model.get_submodule(key)
        self._parts.append(Layer(key, node, layer, inputs, self._tied(key, node), names, keywords))

    def _close(self) -> None:
        """End a run of instructions."""
        first = max((part.last for part in self._parts if isinstance(part, Native)), default=0)
        if len(self._program.instructions) > first:
            self._parts.append(Native(first, len(self._program.instructions)))

    def _tied(self, key: str, node: Node) -> tuple[Tensor, ...]:
        return tuple(self.model.get_parameter(f"{node.shares}.{name}") for name in self.model.graph.shared(key))

    # --- the state

    def put(self, state: Mapping[str, Tensor]) -> bool:
        """Take a state over; False where it is none of float32 in the shapes of the model."""
        for name, slot in self._slots.items():
            value = state[name]
            dtype = torch.int64 if slot.index else torch.float32
            if value.shape != (self.batch, *slot.shape) or value.dtype is not dtype or value.device.type != "cpu":
                return False
        for name, value in state.items():
            if name in self._slots:
                self._slots[name].put(value)
            else:
                self._carried[name] = value
        return True

    def get(self) -> dict[str, Tensor]:
        """The state, in tensors of its own."""
        return {name: self._slots[name].get() if name in self._slots else self._carried[name] for name in self._names}

    # --- a sample

    def takes(self, u: Tensor) -> bool:
        """Whether a sample is one that this decoder was made for, now that it has the state."""
        fits = type(u) is Tensor and u.shape == self._shape and u.dtype is self._dtype and u.is_cpu
        plain = fits and u.layout is torch.strided and not u.is_neg()
        return plain and self.model.training is self.training and ordinary()

    def __call__(self, u: Tensor) -> Tensor:
        """The output for u (batch, channels) or (batch,). After an error the state is what it was before."""
        if not self._direct:
            with torch.no_grad():
                return self._run_parts(u)
        u, y = u.contiguous(), torch.empty(self.batch, self._width)
        self._program.point(self._read, u.data_ptr())
        self._program.point(self._written, y.data_ptr())
        try:
            self._program.run(0, len(self._owners), torch.get_num_threads())
        except Refused as refused:
            raise self._told(self._parts[0], refused, u) from None
        return y

    def _run_parts(self, u: Tensor) -> Tensor:
        """The same, part by part."""
        g, carried, threads = self.model.graph, self._carried.copy(), torch.get_num_threads()
        copy_all(self._kept, self._spare)
        made = {g.input: u}
        self._enter(g.input, u)
        for part in self._parts:
            try:
                if isinstance(part, Native):
                    self._program.run(part.first, part.last, threads)
                else:
                    made[part.key] = self._run(part, made)
                    self._enter(part.key, made[part.key])
            except Exception as error:
                self._carried = carried
                copy_all(self._spare, self._kept)
                raise self._told(part, error, u) from error
        return made[g.output] if g.output in made else self._streams[g.output].view().clone()

    def _enter(self, key: str, value: Tensor) -> None:
        """Put what was made outside where instructions read it."""
        if key in self._entries:
            self._entries[key].view().copy_(value.view(self.batch, -1))

    def _run(self, part: Layer, made: Mapping[str, Tensor]) -> Tensor:
        """A layer as it is. What it is given is its own: it may keep it."""
        streams = [made[i] if i in made else self._streams[i].view().clone() for i in part.inputs]
        if not part.state:
            return part.layer(*streams, *part.tied, **part.keywords)
        before = (self._carried[name] for name in part.state)
        y, *after = part.layer.step(*streams, *part.tied, *before, **part.keywords)
        self._carried.update(zip(part.state, after, strict=True))
        return y

    def _told(self, part: Native | Layer, error: Exception, u: Tensor) -> Exception:
        """An error in the user's terms, as `model.step` tells it."""
        if isinstance(error, Refused):
            key, reason = self._owners[error.instruction], str(error)
            node = self.model.graph.node(key)
        elif isinstance(part, Native) or type(error).__module__.partition(".")[0] == "torch":
            return error
        else:
            key, node, reason = part.key, part.node, self.model._reason(error, u)
        return InputError(f"{node.location}: {node.location.text} ({key}): {reason}")


def copy_all(tensors: list[Tensor], to: list[Tensor]) -> None:
    for x, y in zip(tensors, to, strict=True):
        y.copy_(x)
